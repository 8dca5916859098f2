# -*- test-case-name: mvmtr.test.test_tap -*-
"""From the options on the command line to the service that twistd runs."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.reflect import namedAny

from mvmtr import __version__
from mvmtr.assemble import CONTROL_DIR, Assembly, ConfigurationError, Sources
from mvmtr.log import use_twistd
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.reply import CONTROLS_UNREADABLE, reply_of
from mvmtr.protocol.server import CannotListen, Listener, ReceiverFactory, ip_of
from mvmtr.session import Connection

log = Logger()

EXAMPLES = """
Examples:
  listen on port 25 with the control files of qmail, and as a user without rights:
      twistd --uid=qmaild --gid=nofiles mvmtr --control-dir=/var/qmail/control
  one session as a child of tcpserver, in the place of qmail-smtpd:
      tcpserver -x /etc/tcp.smtp.cdb -u 7791 -g 2108 0 25 twistd mvmtr --stdio
  without qmail, into a Maildir:
      twistd -n mvmtr --no-qmail --listen=tcp:2525 --queue=maildir:./Maildir \\
          --set smtp_server_rcpt_domains=example.org
  on IPv4 and IPv6:
      twistd mvmtr --listen=tcp:25 --listen=tcp6:25
"""


class Options(usage.Options):
    """The options of C{twistd mvmtr}, and of the program C{mvmtr}."""

    synopsis = "[options] [arguments of qmail-smtpd, which are skipped]"

    optFlags = [
        ["stdio", None, "Serve one client on descriptors 0 and 1; log to descriptor 2."],
        ["no-qmail", None, "Read no control file, and take no further arguments."],
    ]

    optParameters = [
        ["control-dir", None, None, f"Folder of qmail control files. [default: {CONTROL_DIR}]"],
        ["queue", None, "qmail", "Where mail goes: qmail[:PROGRAM], maildir:FOLDER, discard:"],
        ["hostname", None, None, "Own name in greeting and replies."],
        ["bodycache", "b", None, "Bytes of a message that are held in memory."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["set"] = {}
        self["checks"] = []
        self.arguments: Sequence[str] = ()
        self.missing_control_dir: str | None = None

    def opt_listen(self, description: str) -> None:
        """Listen on a Twisted server endpoint; may be repeated. [default: tcp:25]"""
        self["listen"].append(description)

    def opt_set(self, assignment: str) -> None:
        """Set a control, as in --set smtp_server_timeout=60; may be repeated."""
        name, equals, value = assignment.partition("=")
        if not equals:
            raise usage.UsageError(f"--set {assignment}: wants NAME=VALUE")
        self["set"][name] = value

    def opt_check(self, name: str) -> None:
        """Ask a check of your own first, given the dotted name of its class; may be repeated."""
        try:
            self["checks"].append(namedAny(name)())
        except Exception as error:
            raise usage.UsageError(f"--check {name}: {type(error).__name__}: {error}") from error

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"mvmtr {__version__}")
        sys.exit(0)

    def getUsage(self, width: int | None = None) -> str:
        """The help text, with an example for each use."""
        return super().getUsage(width) + EXAMPLES

    def parseArgs(self, *arguments: str) -> None:
        """Keep the arguments that are no options."""
        self.arguments = arguments

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See L{usage.Options}; errors are one line and exit status 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            sys.exit(f"mvmtr: {error}")

    def postOptions(self) -> None:
        """Look at the options together, and turn off what twistd must not do here."""
        self._find_controls()
        if self.arguments and self["control-dir"] is None:
            raise usage.UsageError(
                f"without qmail compatibility there are no arguments: {' '.join(self.arguments)}"
            )
        for option, control in (
            ("hostname", "usehostname"),
            ("bodycache", "smtp_server_bodycache"),
        ):
            if self[option] is not None:
                self["set"][control] = self[option]
        if self.parent is not None:
            self._adapt_twistd(self.parent)

    def _find_controls(self) -> None:
        if self["no-qmail"]:
            if self["control-dir"] is not None:
                raise usage.UsageError("--no-qmail and --control-dir exclude each other")
        elif self["control-dir"] is not None:
            self["control-dir"] = os.path.abspath(self["control-dir"])
        elif os.path.lexists(CONTROL_DIR):
            self["control-dir"] = CONTROL_DIR
        else:
            self.missing_control_dir = CONTROL_DIR

    def _adapt_twistd(self, twistd: Any) -> None:
        if self["stdio"]:
            if self["listen"]:
                raise usage.UsageError("--stdio and --listen exclude each other")
            # tcpserver waits for this very process, and descriptor 1 is the client.
            twistd.update({"nodaemon": True, "pidfile": None, "logfile": None})
            twistd["logger"] = "mvmtr.log.stderr_observer"
        elif twistd["logger"] is None:
            use_twistd(twistd)
            twistd["logger"] = "mvmtr.log.twistd_observer"

    def sources(self) -> Sources:
        """Where the configuration comes from."""
        return Sources(
            control_dir=self["control-dir"],
            queue=self["queue"],
            overrides=self["set"],
            checks=tuple(self["checks"]),
        )


def makeService(options: Options) -> IService:
    """
    Make the service; see L{IServiceMaker<twisted.application.service.IServiceMaker>}.

    What can't be read or opened ends the program with one line on standard error and
    status 1; with C{--stdio} the client hears 421 as well.
    """
    from twisted.internet import reactor

    try:
        assembly = Assembly(options.sources(), reactor)
    except ConfigurationError as error:
        if options["stdio"]:
            os.write(1, reply_of(CONTROLS_UNREADABLE))
        sys.exit(f"mvmtr: {error}")
    _warn(options, assembly)
    if options["stdio"]:
        return _stdio_service(assembly, reactor)
    listener = _listener(options, assembly, reactor)
    try:
        # Now, and not when the service starts, for twistd has no terminal any more then.
        listener.bind()
    except CannotListen as error:
        sys.exit(f"mvmtr: {error}")
    return listener


def _warn(options: Options, assembly: Assembly) -> None:
    if options.missing_control_dir is not None:
        log.warn(
            "{folder} does not exist: no qmail compatibility, and no recipient is accepted but "
            "by a setting",
            folder=options.missing_control_dir,
        )
    for warning in assembly.warnings:
        log.warn("{warning}", warning=warning)


def _stdio_service(assembly: Assembly, reactor: Any) -> IService:
    from mvmtr.compat.tcpserver import connection_from_environment
    from mvmtr.protocol.stdio import StdioService

    def describe(transport: Any) -> Connection:
        connection = connection_from_environment(os.environb)
        if connection.remote_ip is None and connection.local_ip is None:
            return replace(
                connection,
                remote_ip=ip_of(transport.getPeer()),
                local_ip=ip_of(transport.getHost()),
            )
        return connection

    def ended(status: int) -> None:
        if status:
            # twistd itself knows no other status than 0.
            atexit.register(os._exit, status)

    factory = ReceiverFactory(assembly.for_connection, anonymous_portal(), describe)
    return StdioService(reactor, factory, ended)


def _listener(options: Options, assembly: Assembly, reactor: Any) -> Listener:
    # Nobody but a parent that accepts connections can say who may relay.
    if b"RELAYCLIENT" in os.environb:
        log.warn("RELAYCLIENT in the environment of a listening mvmtr means nothing")
    environment = {
        name: os.environb[name] for name in (b"DATABYTES", b"QMAILQUEUE") if name in os.environb
    }
    settings = assembly.configuration.settings

    def describe(transport: Any) -> Connection:
        return Connection(
            remote_ip=ip_of(transport.getPeer()),
            local_ip=ip_of(transport.getHost()),
            local_host=settings.usehostname or None,
            environment=environment,
        )

    factory = ReceiverFactory(assembly.for_connection, anonymous_portal(), describe)
    endpoints = options["listen"] or ["tcp:25"]
    return Listener(reactor, endpoints, factory, settings.smtp_server_stop_timeout)
