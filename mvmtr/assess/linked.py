# -*- test-case-name: mvmtr.test.test_assess_listener -*-
"""A service of mvmtr, and the way to the assessor of its clients."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mvmtr.assess.link import Link
from mvmtr.assess.stores import StoreError

log = Logger()

PATIENCE = 5
"""Seconds that the service waits for the way to be open."""


class Linked(Service):
    """
    Opens the way before the service starts, and closes it when the service has stopped and
    all was told.
    """

    def __init__(self, link: Link, service: IService, reactor: Any) -> None:
        self._reactor = reactor
        self._link = link
        self._service = service

    def privilegedStartService(self) -> None:
        """See L{IService}."""
        self._service.privilegedStartService()

    def startService(self) -> None:
        """See L{IService}. A store that can't be opened is as a server that is away."""
        super().startService()
        opening = Deferred.fromCoroutine(self._link.open()).addTimeout(PATIENCE, self._reactor)
        opening.addErrback(self._not_open).addCallback(self._start)

    def _not_open(self, failure: Failure) -> None:
        failure.trap(StoreError, TimeoutError)
        why = "no answer yet" if failure.check(TimeoutError) else failure.getErrorMessage()
        log.error("{name}: {why}", name=self._link.name, why=why)

    def _start(self, _none: None) -> None:
        if self.running:
            self._service.startService()

    def stopService(self) -> Deferred[None]:
        """See L{IService}."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(self._service.stopService)
        await self._link.close()
