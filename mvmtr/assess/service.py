# -*- test-case-name: mvmtr.test.test_assess_service -*-
"""Lets the engine work on a store: questions in, hints out, and feedback."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mvmtr.assess.engine import Engine
from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Feedback, Question
from mvmtr.assess.records import Changes, Records
from mvmtr.assess.stores import IStore, StoreError

log = Logger()

SWEEP_EVERY = 60
"""Seconds between two times that what is over is forgotten."""


class Assessment(Service):
    """
    One engine and its memory.

    @param now: the clock, in seconds since 1970.
    @ivar answered: how many questions were answered.
    @ivar watchers: called with each question, the hint, and the time.
    """

    def __init__(
        self, engine: Engine, store: IStore, reactor: Any, now: Callable[[], float] = time.time
    ) -> None:
        self.engine = engine
        self.store = store
        self.answered = 0
        self.watchers: list[Callable[[Question, Hint, float], None]] = []
        self._now = now
        self._is_open = False
        self._sweeping = LoopingCall(lambda: Deferred.fromCoroutine(self._sweep()))
        self._sweeping.clock = reactor

    def now(self) -> float:
        """The time, no finer than is worth remembering."""
        return round(self._now(), 3)

    async def open(self) -> None:
        """
        Make the store ready.

        @raise StoreError: when that can't be. It is tried again from time to time.
        """
        if not self._is_open:
            await self.store.open()
            self._is_open = True

    async def ask(self, question: Question) -> Hint:
        """
        How to treat a client.

        @raise StoreError: when the store does not work.
        """

        rules = self.engine.more_rules(question, self.now())

        def step(records: Records) -> tuple[Hint, Changes]:
            hint, changes = self.engine.assess(question, {**records, **rules}, self.now())
            return hint, {} if question.dry else changes

        hint: Hint = await self.store.transact(self.engine.keys(question), step)
        if question.dry:
            return hint
        self.answered += 1
        for watcher in self.watchers:
            watcher(question, hint, self.now())
        return hint

    async def tell(self, feedback: Feedback) -> None:
        """
        What a client did.

        @raise StoreError: when the store does not work.
        """

        def step(records: Records) -> tuple[None, Changes]:
            return None, self.engine.learn(feedback, records, self.now())

        keys = self.engine.feedback_keys(feedback)
        if keys:
            await self.store.transact(keys, step)

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        self._sweeping.start(SWEEP_EVERY)

    def stopService(self) -> Deferred[None]:
        """See L{Service}. What is being answered will be."""
        super().stopService()
        if self._sweeping.running:
            self._sweeping.stop()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        self._is_open = False
        await self.store.close()

    async def _sweep(self) -> None:
        try:
            await self.open()
            await self.store.sweep()
        except StoreError as error:
            log.error("unable to forget what is over: {error}", error=error)
        except Exception:
            log.failure("unable to forget what is over")
