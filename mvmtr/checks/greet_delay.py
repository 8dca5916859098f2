# -*- test-case-name: mvmtr.test.test_greet_delay -*-
"""Clients must wait for the greeting; much of what sends junk does not."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import deferLater
from zope.interface import implementer

from mvmtr.domains import address_of
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Reject, Session, Stage, Verdict
from mvmtr.settings import Settings
from mvmtr.values import SettingError

EARLY = Reject(554, "5.5.1 you spoke before the greeting (#5.5.1)")


@implementer(ICheck)
class GreetDelay:
    """
    Waits before the greeting, then refuses clients that have spoken meanwhile
    (C{smtp_server_greet_delay}; RFC 5321, section 4.3.1).

    Clients that may relay need not wait, nor need those under TLS, behind which nobody can
    look, and those that may speak for others by XCLIENT.

    @param clock: an L{IReactorTime<twisted.internet.interfaces.IReactorTime>}.
    @raise SettingError: when no check may take that long.
    """

    name = "greet_delay"
    stages = frozenset({Stage.CONNECT})

    def __init__(self, settings: Settings, clock: Any) -> None:
        self._delay = settings.smtp_server_greet_delay
        self._fronts = settings.smtp_server_xclient_networks
        self._clock = clock
        if self._delay >= settings.smtp_server_check_timeout:
            raise SettingError("smtp_server_greet_delay must be below smtp_server_check_timeout")

    async def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        if session.relay or session.encryption is not None:
            return None
        if session.has_spoken() is None or self._is_front(session.connection):
            return None
        await deferLater(self._clock, self._delay)
        return EARLY if session.has_spoken() else None

    def _is_front(self, connection: Connection) -> bool:
        if not self._fronts or connection.remote_ip is None:
            return False
        address = address_of(connection.remote_ip)
        return any(address in network for network in self._fronts if address is not None)
