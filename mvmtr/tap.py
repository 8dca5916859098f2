# -*- test-case-name: mvmtr.test.test_tap -*-
"""From the options on the command line to the service that twistd runs."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mvmtr import worker
from mvmtr.assemble import Assembly, ConfigurationError, Sources, inherited
from mvmtr.compat.tcpserver import connection_from_environment, described, forget_client
from mvmtr.live import LiveConfiguration
from mvmtr.log import use_twistd
from mvmtr.options import ConfigurationOptions
from mvmtr.protocol.door import Door
from mvmtr.protocol.reply import CONTROLS_UNREADABLE, reply_of
from mvmtr.protocol.tls import CertificateError, Newest
from mvmtr.session import Connection, altered
from mvmtr.settings import Settings
from mvmtr.values import SettingError

if TYPE_CHECKING:
    from mvmtr.protocol.server import Listener, ReceiverFactory

log = Logger()

SMTPS = b"SMTPS"
"""Set for a session with TLS from the first byte, as the qmail TLS patch has it."""

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
  for connections that tcpserver accepts and mvmtr-handoff hands over:
      twistd --uid=7791 --gid=2108 mvmtr --listen=handoff:/run/mvmtr.sock
      tcpserver -x /etc/tcp.smtp.cdb -u 7791 -g 2108 0 25 mvmtr-handoff /run/mvmtr.sock
  with TLS from the first byte on port 465, with the certificate in the control folder:
      twistd mvmtr --listen=tcp:25 --listen=tls:465
  on some addresses only:
      twistd mvmtr --listen=tcp:25:interface=127.0.0.1 '--listen=tcp6:25:interface=\\:\\:1'
"""


class Options(ConfigurationOptions):
    """The options of C{twistd mvmtr}, and of the program C{mvmtr}."""

    synopsis = "[options] [arguments of qmail-smtpd, which are skipped]"

    logger: str | None = None
    """Where twistd's log goes, if twistd was told."""

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
            return
        self.logger = twistd["logger"]
        if self.logger is None:
            use_twistd(twistd)
            twistd["logger"] = "mvmtr.log.twistd_observer"


def makeService(options: Options) -> IService:
    """
    Make the service; see L{IServiceMaker<twisted.application.service.IServiceMaker>}.

    What can't be read or opened ends the program with one line on standard error and
    status 1; with C{--stdio} the client hears 421 as well.
    """
    reactor = _reactor(options)
    try:
        live = LiveConfiguration(_sources(options), reactor)
        if not options["stdio"] or SMTPS in os.environb:
            live.assembly.secure()
    except ConfigurationError as error:
        if options["stdio"] and SMTPS not in os.environb:
            os.write(1, reply_of(CONTROLS_UNREADABLE))
        sys.exit(f"mvmtr: {error}")
    _warn(options, live.assembly)
    if options["stdio"]:
        return _linked(options, _stdio_service(options, live.assembly, reactor), reactor)
    from mvmtr.protocol.server import CannotListen

    listener = _listener(options, live, reactor)
    try:
        if options.link is not None and not _another_user(options):
            options.link.try_store()
        # Now, and not when the service starts, for twistd has no terminal any more then.
        listener.bind()
        _give_away(options, listener)
    except (CannotListen, SettingError) as error:
        sys.exit(f"mvmtr: {error}")
    if worker.current is not None:
        return _linked(options, worker.current.service(listener, reactor), reactor)
    if options.workers > 1:
        return _workers(options, live, listener, reactor)
    return _linked(options, listener, reactor)


def _workers(
    options: Options, live: LiveConfiguration, listener: Listener, reactor: Any
) -> IService:
    """The service of a process whose ports are served by others."""
    from mvmtr.workers import Workers, twistd_arguments

    arguments = twistd_arguments(options.parent or {}, options.logger)
    return Workers(
        reactor,
        listener,
        options.workers,
        [*arguments, "mvmtr", *options.given],
        lambda: live.assembly.configuration.settings.smtp_server_stop_timeout,
        lambda: live.refresh(force=True),
        lambda: _end_with(1),
    )


def _end_with(status: int) -> None:
    """Let the process end with a status; twistd itself knows no other one than 0."""
    if status:
        atexit.register(os._exit, status)


def _reactor(options: Options) -> Any:
    """
    The reactor, which must not be there before the options are known.

    For one session it comes without OpenSSL, unless code of others may want that of it.
    """
    others = options["checks"] or options["auth"] or options["queue"].startswith("python:")
    if options["stdio"] and not others:
        from mvmtr.reactor import plain_reactor

        return plain_reactor()
    from twisted.internet import reactor

    return reactor


def _another_user(options: Options) -> bool:
    """Whether the process is to be that of another user; files that are made are that one's."""
    return options.parent is not None and options.parent["uid"] is not None


def _give_away(options: Options, listener: Listener) -> None:
    """Let Unix sockets be those of the user that the process becomes; others may not connect."""
    if options.parent is None or worker.current is not None:
        return
    owner = [
        -1 if options.parent[name] is None else options.parent[name] for name in ("uid", "gid")
    ]
    for port in listener.ports:
        address = port.getHost()
        if isinstance(address, UNIXAddress) and address.name and owner != [-1, -1]:
            # Who may write to the folder may have put a link to another file there.
            os.chown(address.name, *owner, follow_symlinks=False)


def _linked(options: Options, service: IService, reactor: Any) -> IService:
    """The service together with the way to who is asked for hints, if there is one."""
    if options.link is None:
        return service
    from mvmtr.assess.linked import Linked

    return Linked(options.link, service, reactor)


def _sources(options: Options) -> Sources:
    sources = options.sources()
    if options["stdio"] and os.environb.get(b"UCSPITLS") == b"!":
        overrides = {"smtp_server_require_tls": "on", **sources.overrides}
        return replace(sources, overrides=overrides)
    return sources


def _warn(options: Options, assembly: Assembly) -> None:
    for warning in options.warnings():
        log.warn("{warning}", warning=warning)
    if options.missing_control_dir is not None:
        log.warn(
            "{folder} does not exist: no qmail compatibility, and no recipient is accepted but "
            "by a setting",
            folder=options.missing_control_dir,
        )
    for warning in assembly.warnings:
        log.warn("{warning}", warning=warning)


def _stdio_service(options: Options, assembly: Assembly, reactor: Any) -> IService:
    from mvmtr.auth.portal import portal_for
    from mvmtr.protocol.server import ReceiverFactory
    from mvmtr.protocol.stdio import StdioService

    connection = connection_from_environment(dict(os.environb), complete=True)
    describe = partial(described, connection)

    factory = ReceiverFactory(assembly.for_connection, portal_for(options["auth"]), describe)
    settings = assembly.configuration.settings
    context = None
    if SMTPS in os.environb:
        context = assembly.configuration.tls
        if context is None:
            sys.exit("mvmtr: SMTPS is set, but there is no certificate")
    door = Door(factory, lambda: settings, context, connection)
    parent = None
    if b"UCSPITLS" in os.environb or b"SSL_PROTOCOL" in os.environb:
        from mvmtr.protocol.ucspi import Parent

        parent = Parent(os.environb, reactor)
    return StdioService(reactor, door, _end_with, settings.smtp_server_stop_timeout, parent)


def _listener(options: Options, live: LiveConfiguration, reactor: Any) -> Listener:
    from mvmtr.auth.portal import portal_for
    from mvmtr.protocol.server import Listener, ReceiverFactory

    if b"RELAYCLIENT" in os.environb:
        log.warn("RELAYCLIENT in the environment of a listening mvmtr means nothing")
    forget_client(os.environb)
    environment = inherited()
    name_of = _names(options["remote-host"], live.assembly.configuration.settings, reactor)

    def describe(raw: Connection) -> Any:
        live.refresh_unless_busy()
        connection = altered(
            raw,
            local_host=live.assembly.configuration.settings.usehostname or None,
            environment=environment,
        )
        known = connection.remote_host is not None
        if name_of is None or known or connection.remote_ip is None:
            return live.assembly.ruled(connection)
        return Deferred.fromCoroutine(name_of(connection.remote_ip)).addCallback(
            lambda host: live.assembly.ruled(replace(connection, remote_host=host))
        )

    def settings() -> Settings:
        return live.assembly.configuration.settings

    def certificates() -> Any:
        live.refresh_unless_busy()
        return live.assembly.configuration.tls

    def door(secure: bool) -> Door:
        return Door(factory, settings, Newest(certificates) if secure else None)

    factory = ReceiverFactory(live.for_connection, portal_for(options["auth"]), describe, settings)
    inherited_ports: Sequence[int] = ()
    if worker.current is not None:
        factory.load = worker.current.load()
        inherited_ports = worker.current.descriptors
    return Listener(
        reactor,
        options["listen"] or ["tcp:587" if options["submission"] else "tcp:25"],
        factory,
        live.assembly.configuration.settings.smtp_server_stop_timeout,
        reload=lambda: live.refresh(force=True),
        door=door,
        inherited=inherited_ports,
        handoff=lambda: _handoff(live, factory, settings, certificates, reactor),
    )


def _handoff(
    live: LiveConfiguration,
    factory: ReceiverFactory,
    settings: Callable[[], Settings],
    certificates: Callable[[], Any],
    reactor: Any,
) -> Any:
    """What takes connections over; each is served just as with C{--stdio} in its environment."""
    from mvmtr.protocol.handoff import HandoffFactory, Refused

    def door(environment: Mapping[bytes, bytes]) -> Door:
        if b"UCSPITLS" in environment or b"SSL_PROTOCOL" in environment:
            raise Refused("its parent does TLS for it (UCSPITLS, SSL_PROTOCOL)")
        live.refresh_unless_busy()
        connection = connection_from_environment(environment, complete=True)
        try:
            context = Newest(certificates) if SMTPS in environment else None
        except CertificateError as error:
            raise Refused(f"SMTPS is set, but {error}") from None
        return Door(factory, settings, context, connection, partial(described, connection))

    return HandoffFactory(reactor, door, settings)


def _names(mode: str, settings: Settings, reactor: Any) -> Callable[[bytes], Any] | None:
    if mode == "off":
        return None
    from mvmtr.protocol.remotehost import RemoteHost
    from mvmtr.resolver import resolver_for

    resolver = resolver_for(settings.smtp_server_dns, reactor)
    return RemoteHost(mode == "paranoid", resolver).name_of
