# -*- test-case-name: mvmtr.test.test_assemble -*-
"""
Puts a configuration together from all that it comes from: defaults, the control folder,
the environment, the startup file, the command line; later wins over earlier.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from mvmtr.checks import chosen
from mvmtr.checks.rcpt_domains import RcptDomains
from mvmtr.checks.relay import Relay
from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.qmail import Controls, control_paths, databytes_of, read_controls
from mvmtr.compat.rcpthosts import RcptHosts
from mvmtr.compat.tcprules import TcpRules, TcpRulesCheck
from mvmtr.configuration import Configuration
from mvmtr.interfaces import ICheck, IQueue
from mvmtr.policy import Policy
from mvmtr.protocol.reply import NOT_ALLOWED
from mvmtr.protocol.tls import CertificateError, Certificates, files_of, successor, watched
from mvmtr.queue import QueueError, queue_from_string
from mvmtr.session import Connection, Stage
from mvmtr.settings import Settings
from mvmtr.values import SettingError

CONTROL_DIR = "/var/qmail/control"


START_FILE = "mvmtr.mfl"
"""The startup file in the control folder."""


class ConfigurationError(Exception):
    """
    What was asked for can't be; the message says what and where.

    @ivar problems: each thing that is wrong; what can be shown of it comes in further lines.
    @ivar paths: files to be looked at again, besides those of the last good configuration.
    """

    def __init__(
        self, message: str, problems: tuple[str, ...] = (), paths: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.problems = problems or (message,)
        self.paths = paths


@dataclass(frozen=True)
class Sources:
    """
    Where a configuration comes from.

    @ivar control_dir: the qmail control folder; C{None} without qmail compatibility.
    @ivar start_file: the startup file; C{None}: that of the control folder, if it is there.
    @ivar tcp_rules: the compiled rules file of tcpserver, if there is one.
    @ivar queue: see L{queue_from_string}.
    @ivar overrides: controls by name, as text, from the command line.
    @ivar checks: checks that stand before all others.
    @ivar submission: the server is for the submission of new mail.
    @ivar handoff: whether connections bring environments of their own.
    @ivar assess: the way to who is asked for hints, a L{Link<mvmtr.assess.link.Link>}.
    """

    control_dir: str | None = CONTROL_DIR
    tcp_rules: str | None = None
    queue: str = "qmail"
    overrides: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[ICheck, ...] = ()
    submission: bool = False
    start_file: str | None = None
    handoff: bool = False
    assess: Any = None


class Assembly:
    """
    A configuration, and what it takes to fit it to a connection.

    @ivar configuration: what holds where a connection brings nothing of its own.
    @ivar paths: the files that it was read from.
    @ivar warnings: what the postmaster should know, one line each.
    @ivar open_relay: everybody may send to everybody.
    @param queue: a queue that is there already.
    @raise ConfigurationError: when a source can't be read or makes no sense.
    """

    def __init__(self, sources: Sources, reactor: Any, queue: IQueue | None = None) -> None:
        home = os.path.dirname(os.path.abspath(sources.control_dir or CONTROL_DIR))
        try:
            controls = Controls()
            if sources.control_dir is not None:
                controls = read_controls(sources.control_dir)
            settings = self._settings(sources, controls, reactor)
            self.rules = None if sources.tcp_rules is None else TcpRules(sources.tcp_rules)
            checks, followers = self._checks(sources, settings, controls, home, reactor)
            queue = queue or queue_from_string(sources.queue, home, reactor)
            files = files_of(settings, sources.control_dir)
        except (ControlError, SettingError, QueueError, CertificateError) as error:
            raise ConfigurationError(str(error), tuple(str(error).split("; "))) from error
        self.warnings = controls.warnings
        self.open_relay = controls.open_relay
        self.paths = _paths(sources, settings, checks)
        self._limited: dict[bytes, tuple[Configuration, Configuration]] = {}
        self.configuration = Configuration(
            settings,
            Policy(checks, reactor),
            queue,
            None if files is None else Certificates(files),
            followers,
        )

    def _settings(self, sources: Sources, controls: Controls, reactor: Any) -> Settings:
        """Defaults, control files, startup file and command line; later wins over earlier."""
        given = sources.overrides.items()
        self._overrides = {name: Settings.parse(name, text) for name, text in given}
        before = Settings().with_(controls.values, controls.origins)
        self._start = _start_file(sources, before, reactor)
        return self._overridden(before)

    def _checks(
        self, sources: Sources, settings: Settings, controls: Controls, home: str, reactor: Any
    ) -> tuple[tuple[ICheck, ...], tuple[Any, ...]]:
        """All checks in the order in which they are asked, and who is told what came of it."""
        domains = RcptDomains(settings.smtp_server_rcpt_domains)
        ours = [domains, *(check for check in controls.checks if Stage.RCPT in check.stages)]
        switched_on = chosen(settings, reactor)
        after = (
            *_submission_checks(sources, settings),
            *switched_on,
            *_recipient_checks(sources, settings, home, ours, reactor),
            domains,
            Relay(),
            *controls.checks,
        )
        assess, followers = _assessment(sources, settings, after, switched_on, reactor)
        if self._start is not None and assess is not None:
            self._start.assess = assess.about
        checks = (
            *_verified(sources.checks),
            *(() if self.rules is None else (TcpRulesCheck(),)),
            *(() if self._start is None else (self._start,)),
            *(() if assess is None else (assess,)),
            *after,
        )
        return checks, followers

    def _overridden(self, settings: Settings) -> Settings:
        """With what the startup file says, and over that the command line."""
        if self._start is not None:
            settings = settings.with_(self._start.values, self._start.origins)
        origins = dict.fromkeys(self._overrides, "command line")
        return settings.with_(self._overrides, origins)

    def verify(self) -> None:
        """
        Look for damage that otherwise shows at a look-up, and not before.

        @raise ConfigurationError: when there is some.
        """
        for check in self.configuration.policy.checks:
            if isinstance(check, RcptHosts) and check.more is not None:
                try:
                    check.more.verify()
                except ControlError as error:
                    raise ConfigurationError(str(error)) from error

    def secure(self, former: Assembly | None = None, force: bool = False) -> tuple[str, ...]:
        """
        Read the certificates, which otherwise happens at their first use.

        @param former: what was in force before; its certificates are kept where the new ones
            are gone or can't be used.
        @param force: believe it when they are gone.
        @return: what there is to complain about.
        @raise ConfigurationError: when the certificates can't be used, and nothing was in force
            before.
        """
        old = None if former is None else former.configuration.tls
        try:
            certificates, complaint = successor(self.configuration.tls, old, force)
        except CertificateError as error:
            if former is None:
                raise ConfigurationError(str(error)) from error
            certificates, complaint = None, f"{error}; there is no TLS until that is mended"
        self.configuration = replace(self.configuration, tls=certificates)
        return (complaint,) if complaint else ()

    def ruled(self, connection: Connection) -> Connection:
        """
        The connection as the rules make it.

        @raise ControlError: when the rules file is damaged.
        """
        if self.rules is None:
            return connection
        rule = self.rules.find(
            connection.remote_ip or b"", connection.remote_host, connection.remote_info
        )
        return connection if rule is None else self.rules.apply(rule, connection)

    def for_connection(self, connection: Connection) -> Configuration:
        """The configuration for one connection, with DATABYTES where it has that."""
        limit = connection.environment.get(b"DATABYTES")
        if limit is None:
            return self.configuration
        basis, limited = self._limited.get(limit, (None, None))
        if limited is None or basis is not self.configuration:
            # Made once, and shared by all connections that have the same limit.
            limited = self._with_limit(limit)
            self._limited[limit] = self.configuration, limited
        return limited

    def _with_limit(self, limit: bytes) -> Configuration:
        settings = self.configuration.settings.with_(
            {"smtp_server_msgsize_max": databytes_of(limit)},
            {"smtp_server_msgsize_max": "DATABYTES"},
        )
        return replace(self.configuration, settings=self._overridden(settings))


def _paths(sources: Sources, settings: Settings, checks: Iterable[ICheck]) -> tuple[str, ...]:
    """The files that a configuration is read from, there or not."""
    paths = [] if sources.tcp_rules is None else [sources.tcp_rules]
    if sources.control_dir is not None:
        paths += control_paths(sources.control_dir)
    paths += watched(settings, sources.control_dir)
    paths += start_paths(sources)
    for check in checks:
        paths += getattr(check, "paths", ())
    return tuple(dict.fromkeys(paths))


def start_paths(sources: Sources) -> list[str]:
    """Where the startup file is, there or not."""
    if sources.start_file is not None:
        return [sources.start_file]
    return [] if sources.control_dir is None else [os.path.join(sources.control_dir, START_FILE)]


def _start_file(sources: Sources, settings: Settings, reactor: Any) -> Any:
    """
    The startup file as a check; C{None}, and nothing loaded, where there is none.

    @param settings: those that hold before it is read.
    """
    for path in start_paths(sources):
        if sources.start_file is None and not os.path.lexists(path):
            return None
        from mvmtr.hooks.startfile import StartFile
        from mvmtr.mfl.errors import MflErrors

        try:
            return StartFile(path, settings, reactor)
        except MflErrors as error:
            problems = tuple(map(str, error.problems))
            files = tuple({each.place.file for each in error.problems})
            raise ConfigurationError(str(error), problems, (path, *files)) from error
    return None


def inherited() -> dict[bytes, bytes]:
    """
    What a listening server takes from its own environment for every connection. Only a
    parent that accepts connections can say who may relay.
    """
    names = (b"DATABYTES", b"QMAILQUEUE", b"RCPTCHECK")
    return {name: os.environb[name] for name in names if name in os.environb}


def _submission_checks(sources: Sources, settings: Settings) -> list[Any]:
    """The checks of senders, as far as they are switched on; only what is used is loaded."""
    if not (sources.submission or settings.smtp_server_sender_map):
        return []
    from mvmtr.checks.submission import submission_checks

    name = settings.smtp_server_sender_map
    return [*submission_checks(sources.control_dir, name, sources.submission)]


def _assessment(
    sources: Sources,
    settings: Settings,
    after: tuple[ICheck, ...],
    ours: list[ICheck],
    reactor: Any,
) -> tuple[Any, tuple[Any, ...]]:
    """
    The check that asks for hints, and the follower that tells what came of them, if there
    is somebody to ask; only what is used is loaded.

    @param after: the checks that come after it.
    @param ours: those of them that a client is spared for whom the hint is "ok".
    """
    link = sources.assess
    if link is None:
        return None, ()
    link.connect(reactor, settings.smtp_server_assess_connections)
    from mvmtr.assess.check import NAME, Assess
    from mvmtr.assess.feedback import Feedback
    from mvmtr.assess.names import ConfirmedNames

    def resolver() -> Any:
        from mvmtr.resolver import resolver_for

        return resolver_for(settings.smtp_server_dns, reactor)

    names = ConfirmedNames(resolver, reactor)
    feedback = Feedback(link, names, NAME)
    essential = Policy((check for check in after if check not in ours), reactor)
    rest = Policy(after, reactor)
    otherwise = NOT_ALLOWED.by("default")
    check = Assess(link, names, rest, essential, otherwise, reactor, feedback.note)
    return check, () if link.is_dry else (feedback,)


def _recipient_checks(
    sources: Sources, settings: Settings, home: str, ours: list[ICheck], reactor: Any
) -> list[Any]:
    """
    The checks that know which recipients exist, as far as they are switched on.

    Each has C{paths}, the files that it was read from. Only what is used is loaded.

    @param ours: checks that know which recipients mail is taken for at all.
    """
    checks: list[Any] = []
    if settings.smtp_server_validrcptto:
        from mvmtr.compat.validrcptto import ValidRcptTo

        path = os.path.abspath(
            os.path.join(sources.control_dir or "", settings.smtp_server_validrcptto)
        )
        checks.append(ValidRcptTo(path, ours))
    if settings.smtp_server_rcpt_users:
        from mvmtr.compat.users import Users

        checks.append(Users(home))
    program = settings.smtp_server_rcptcheck
    brought = sources.tcp_rules is not None or sources.handoff
    if program or brought or b"RCPTCHECK" in os.environb:
        from mvmtr.compat.rcptcheck import RcptCheck

        checks.append(RcptCheck(program, home, reactor, ours))
    return checks


def _verified(checks: Iterable[ICheck]) -> Iterable[ICheck]:
    for check in checks:
        try:
            verifyObject(ICheck, check)
        except Invalid as error:
            why = " ".join(str(error).split())
            raise ConfigurationError(f"{check!r} is no check: {why}") from error
        yield check
