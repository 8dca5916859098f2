# -*- test-case-name: mvmtr.test.test_assemble -*-
"""
Puts a configuration together from all that it comes from: defaults, the control folder,
the environment, the command line; later wins over earlier.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from mvmtr.checks.rcpt_domains import RcptDomains
from mvmtr.checks.relay import Relay
from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.qmail import Controls, databytes_of, read_controls
from mvmtr.configuration import Configuration
from mvmtr.interfaces import ICheck
from mvmtr.policy import Policy
from mvmtr.queue import QueueError, queue_from_string
from mvmtr.session import Connection
from mvmtr.settings import SettingError, Settings, parse

CONTROL_DIR = "/var/qmail/control"


class ConfigurationError(Exception):
    """What was asked for can't be; the message says what and where, in one line."""


@dataclass(frozen=True)
class Sources:
    """
    Where a configuration comes from.

    @ivar control_dir: the qmail control folder; C{None} without qmail compatibility.
    @ivar queue: see L{queue_from_string}.
    @ivar overrides: controls by name, as text, from the command line.
    @ivar checks: checks that stand before all others.
    """

    control_dir: str | None = CONTROL_DIR
    queue: str = "qmail"
    overrides: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[ICheck, ...] = ()


class Assembly:
    """
    A configuration, and what it takes to fit it to a connection.

    @ivar configuration: what holds where a connection brings nothing of its own.
    @ivar warnings: what the postmaster should know, one line each.
    @raise ConfigurationError: when a source can't be read or makes no sense.
    """

    def __init__(self, sources: Sources, reactor: Any) -> None:
        try:
            controls = (
                Controls() if sources.control_dir is None else read_controls(sources.control_dir)
            )
            self._overrides = {name: parse(name, text) for name, text in sources.overrides.items()}
            home = os.path.dirname(os.path.abspath(sources.control_dir or CONTROL_DIR))
            queue = queue_from_string(sources.queue, home, reactor)
        except (ControlError, SettingError, QueueError) as error:
            raise ConfigurationError(str(error)) from error
        settings = self._overridden(Settings().with_(controls.values, controls.origins))
        checks = (
            *_verified(sources.checks),
            RcptDomains(settings.smtp_server_rcpt_domains),
            Relay(),
            *controls.checks,
        )
        self.warnings = controls.warnings
        self.configuration = Configuration(settings, Policy(checks, reactor), queue)

    def _overridden(self, settings: Settings) -> Settings:
        origins = dict.fromkeys(self._overrides, "command line")
        return settings.with_(self._overrides, origins)

    def for_connection(self, connection: Connection) -> Configuration:
        """The configuration for one connection, with DATABYTES where it has that."""
        limit = connection.environment.get(b"DATABYTES")
        if limit is None:
            return self.configuration
        settings = self.configuration.settings.with_(
            {"smtp_server_msgsize_max": databytes_of(limit)},
            {"smtp_server_msgsize_max": "DATABYTES"},
        )
        return replaced(self.configuration, settings=self._overridden(settings))


def _verified(checks: Iterable[ICheck]) -> Iterable[ICheck]:
    for check in checks:
        try:
            verifyObject(ICheck, check)
        except Invalid as error:
            raise ConfigurationError(f"{check!r} is no check: {error}") from error
        yield check
