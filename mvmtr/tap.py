# -*- test-case-name: mvmtr.test.test_tap -*-
"""From the options on the command line to the service that twistd runs."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mvmtr.assemble import Assembly, ConfigurationError, inherited
from mvmtr.live import LiveConfiguration
from mvmtr.log import use_twistd
from mvmtr.options import ConfigurationOptions
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.reply import CONTROLS_UNREADABLE, reply_of
from mvmtr.protocol.server import CannotListen, Listener, ReceiverFactory
from mvmtr.session import Connection
from mvmtr.settings import Settings

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
  on IPv6, and on IPv4 as well where the system takes that there, as Linux does:
      twistd mvmtr --listen=tcp6:25
  on some addresses only:
      twistd mvmtr --listen=tcp:25:interface=127.0.0.1 '--listen=tcp6:25:interface=\\:\\:1'
"""


class Options(ConfigurationOptions):
    """The options of C{twistd mvmtr}, and of the program C{mvmtr}."""

    synopsis = "[options] [arguments of qmail-smtpd, which are skipped]"

    def getUsage(self, width: int | None = None) -> str:
        """The help text, with an example for each use."""
        return super().getUsage(width) + EXAMPLES

    def postOptions(self) -> None:
        """Look at the options, and turn off what twistd must not do here."""
        super().postOptions()
        if self.parent is not None:
            self._adapt_twistd(self.parent)

    def _adapt_twistd(self, twistd: Any) -> None:
        if self["stdio"]:
            # tcpserver waits for this very process, and descriptor 1 is the client.
            # The current folder may be one that its user can't even enter.
            twistd.update({"nodaemon": True, "pidfile": None, "logfile": None, "rundir": "/"})
            twistd["logger"] = "mvmtr.log.stderr_observer"
        elif twistd["logger"] is None:
            use_twistd(twistd)
            twistd["logger"] = "mvmtr.log.twistd_observer"


def makeService(options: Options) -> IService:
    """
    Make the service; see L{IServiceMaker<twisted.application.service.IServiceMaker>}.

    What can't be read or opened ends the program with one line on standard error and
    status 1; with C{--stdio} the client hears 421 as well.
    """
    from twisted.internet import reactor

    try:
        live = LiveConfiguration(options.sources(), reactor)
    except ConfigurationError as error:
        if options["stdio"]:
            os.write(1, reply_of(CONTROLS_UNREADABLE))
        sys.exit(f"mvmtr: {error}")
    _warn(options, live.assembly)
    if options["stdio"]:
        return _stdio_service(live.assembly, reactor)
    listener = _listener(options, live, reactor)
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

    def describe(raw: Connection) -> Connection:
        connection = connection_from_environment(os.environb)
        if connection.remote_ip is None and connection.local_ip is None:
            return replace(connection, remote_ip=raw.remote_ip, local_ip=raw.local_ip)
        return connection

    def ended(status: int) -> None:
        if status:
            # twistd itself knows no other status than 0.
            atexit.register(os._exit, status)

    factory = ReceiverFactory(assembly.for_connection, anonymous_portal(), describe)
    stop_timeout = assembly.configuration.settings.smtp_server_stop_timeout
    return StdioService(reactor, factory, ended, stop_timeout)


def _listener(options: Options, live: LiveConfiguration, reactor: Any) -> Listener:
    if b"RELAYCLIENT" in os.environb:
        log.warn("RELAYCLIENT in the environment of a listening mvmtr means nothing")
    environment = inherited()
    name_of = _names(options["remote-host"])

    def describe(raw: Connection) -> Any:
        live.refresh()
        connection = replace(
            raw,
            local_host=live.assembly.configuration.settings.usehostname or None,
            environment=environment,
        )
        if name_of is None or connection.remote_ip is None:
            return live.assembly.ruled(connection)
        return Deferred.fromCoroutine(name_of(connection.remote_ip)).addCallback(
            lambda host: live.assembly.ruled(replace(connection, remote_host=host))
        )

    def settings() -> Settings:
        return live.assembly.configuration.settings

    factory = ReceiverFactory(live.for_connection, anonymous_portal(), describe, settings)
    return Listener(
        reactor,
        options["listen"] or ["tcp:25"],
        factory,
        live.assembly.configuration.settings.smtp_server_stop_timeout,
        reload=lambda: live.refresh(force=True),
    )


def _names(mode: str) -> Callable[[bytes], Any] | None:
    if mode == "off":
        return None
    from mvmtr.protocol.remotehost import RemoteHost

    return RemoteHost(paranoid=mode == "paranoid").name_of
