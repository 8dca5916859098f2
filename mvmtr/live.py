# -*- test-case-name: mvmtr.test.test_live -*-
"""
Keeps a configuration in step with the files that it was read from.

Looking for edits costs a C{stat} for each file at each connection, and nothing while
nobody connects. When hundreds connect in a second, it is not done for each of them.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.logger import Logger

from mvmtr.assemble import Assembly, ConfigurationError, Sources
from mvmtr.configuration import Configuration
from mvmtr.session import Connection
from mvmtr.stamps import SETTLED, Stamp, is_settled, stamp_of

log = Logger()


BUSY_TIME = 0.02
"""Seconds in which files are looked at C{BUSY_LOOKS} times at the most."""

BUSY_LOOKS = 8


class LiveConfiguration:
    """
    What L{Assembly} reads, read again whenever a file was edited.

    An edit that can't be read leaves everything as it was, and is logged.

    @raise ConfigurationError: when the first reading fails.
    """

    def __init__(self, sources: Sources, reactor: Any) -> None:
        self._sources = sources
        self._reactor = reactor
        began = time.time()
        self.assembly = Assembly(sources, reactor)
        self._complaints = tuple(self.assembly.warnings)
        self._broken: tuple[str, ...] = ()
        self._busy_since = 0.0
        self._looks = 0
        self._note(stamp_of(self.assembly.paths), began)

    def _note(self, stamp: Stamp, began: float) -> None:
        """
        Keep how the files looked, and whether an edit from now on must show there.

        @param began: when reading them began.
        """
        self._stamp = stamp
        self._settled = is_settled(stamp, began, SETTLED)

    def refresh(self, force: bool = False) -> bool:
        """
        Read again what was edited.

        @param force: read whether or not anything was edited, and believe it when
            rcpthosts is gone.
        @return: C{False} when it could not be read.
        """
        began = time.time()
        stamp = stamp_of((*self.assembly.paths, *self._broken))
        edited = force or stamp != self._stamp
        if not edited and self._settled:
            return not self._broken
        queue = self.assembly.configuration.queue
        is_good = True
        try:
            assembly = Assembly(self._sources, self._reactor, queue)
            assembly.verify()
            if assembly.open_relay and not (self.assembly.open_relay or force):
                raise ConfigurationError("rcpthosts is gone, which would open the relay")
        except ConfigurationError as error:
            is_good = False
            self._broken = error.paths
            *others, last = (problem.partition("\n")[0] for problem in error.problems)
            self._complain(*others, f"{last}; the last good configuration stays in force")
        else:
            self._broken = ()
            self._complain(*assembly.warnings, *assembly.secure(self.assembly, force))
            self.assembly = assembly
            if edited:
                log.info("the configuration was read again")
        if self._broken or edited:
            stamp = stamp_of((*self.assembly.paths, *self._broken))
        self._note(stamp, began)
        return is_good

    def refresh_unless_busy(self) -> None:
        """Read again what was edited; when many connect in a short time not for each of them."""
        now = time.monotonic()
        if now - self._busy_since >= BUSY_TIME:
            self._busy_since = now
            self._looks = 0
        if self._looks < BUSY_LOOKS:
            self._looks += 1
            self.refresh()

    def _complain(self, *complaints: str) -> None:
        """Log what is wrong, once for as long as it stays so."""
        if complaints != self._complaints:
            self._complaints = complaints
            for complaint in complaints:
                log.error("{complaint}", complaint=complaint)

    def for_connection(self, connection: Connection) -> Configuration:
        """The configuration, as it is now, for one connection."""
        return self.assembly.for_connection(connection)
