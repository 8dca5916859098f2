# -*- test-case-name: mvmtr.test.test_live -*-
"""
Keeps a configuration in step with the files that it was read from.

Looking for edits costs a C{stat} for each file at each connection, and nothing while
nobody connects.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.logger import Logger

from mvmtr.assemble import Assembly, ConfigurationError, Sources, stamp_of
from mvmtr.configuration import Configuration
from mvmtr.session import Connection

log = Logger()

SETTLED = 1.0
"""Seconds after which a second edit of a file can't have the same time as the first."""


class LiveConfiguration:
    """
    What L{Assembly} reads, read again whenever a file was edited.

    An edit that can't be read leaves everything as it was, and is logged.

    @raise ConfigurationError: when the first reading fails.
    """

    def __init__(self, sources: Sources, reactor: Any) -> None:
        self._sources = sources
        self._reactor = reactor
        self._read(Assembly(sources, reactor))
        self._complaints = tuple(self.assembly.warnings)

    def _read(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self._stamp = assembly.stamp
        self._settled = self._has_settled()

    def _has_settled(self) -> bool:
        latest = max((max(entry[2:]) for entry in self._stamp if entry), default=0)
        return latest / 1e9 + SETTLED < time.time()

    def refresh(self, force: bool = False) -> None:
        """
        Read again what was edited.

        @param force: read whether or not anything was edited, and believe it when
            rcpthosts is gone.
        """
        stamp = stamp_of(self.assembly.paths)
        if stamp == self._stamp and self._settled and not force:
            return
        self._stamp = stamp
        self._settled = self._has_settled()
        queue = self.assembly.configuration.queue
        try:
            assembly = Assembly(self._sources, self._reactor, queue)
            if assembly.open_relay and not (self.assembly.open_relay or force):
                raise ConfigurationError("rcpthosts is gone, which would open the relay")
        except ConfigurationError as error:
            self._complain(f"{error}; the last good configuration stays in force")
            return
        self._complain(*assembly.warnings)
        self._read(assembly)
        log.info("the configuration was read again")

    def _complain(self, *complaints: str) -> None:
        """Log what is wrong, once for as long as it stays so."""
        if complaints != self._complaints:
            self._complaints = complaints
            for complaint in complaints:
                log.error("{complaint}", complaint=complaint)

    def ruled(self, connection: Connection) -> Connection:
        """
        The connection as the rules make it.

        @raise ControlError: when the rules file is damaged.
        """
        return self.assembly.ruled(connection)

    def for_connection(self, connection: Connection) -> Configuration:
        """The configuration, as it is now, for one connection."""
        return self.assembly.for_connection(connection)
