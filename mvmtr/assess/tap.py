# -*- test-case-name: mvmtr.test.test_assess_tap -*-
"""From the options of C{twistd mvmcas} to the services that it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.python import usage
from twisted.python.failure import Failure

from mvmtr import __version__
from mvmtr.assess.admin import Admin
from mvmtr.assess.engine import Engine
from mvmtr.assess.rulefiles import RuleFiles
from mvmtr.assess.server import CONNECTIONS_MAX, PolicyFactory
from mvmtr.assess.service import Assessment
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores import StoreError, store_from_string
from mvmtr.log import use_twistd
from mvmtr.protocol.descriptors import raise_limit
from mvmtr.protocol.server import CannotListen, Listener
from mvmtr.values import Network, SettingError, networks, positive

LISTEN = "tcp:8891:interface=127.0.0.1"
STORE = "sqlite:/var/lib/mvmcas.db"
RECEIVERS = "127.0.0.0/8 ::1"

STOP_TIMEOUT = 10
"""Seconds that questions at hand have when the service stops."""

ENDPOINTS = ("tcp", "tcp6", "unix", "systemd")

EXAMPLES = """
Examples:
  greylisting for the receivers of this machine:
      twistd mvmcas --store=sqlite:/var/lib/mvmcas.db --set greylist=on
  for Postfix on this machine, in the foreground:
      twistd -n mvmcas --listen=unix:/var/spool/postfix/private/mvmcas:mode=666
  for many receivers, as one of several in front of one store:
      twistd mvmcas --listen=tcp:8891 --receivers=192.0.2.0/24 --store=redis:192.0.2.9:6379 \\
          --set reputation=on
  with the lists of a control folder, and for mvmcas-ctl:
      twistd mvmcas --control-dir=/var/qmail/control --admin=unix:/run/mvmcas-admin
"""


class Options(usage.Options):
    """The options of C{twistd mvmcas}."""

    synopsis = "[options]"

    optParameters = [
        ["store", None, STORE, "sqlite:/path, redis:HOST[:PORT[:DATABASE]] or memory:"],
        ["control-dir", None, None, "Folder of mvmcas-block, -allow, -relay and -trap."],
        ["receivers", None, RECEIVERS, "Networks that questions are taken from; empty is all."],
        ["max-connections", None, str(CONNECTIONS_MAX), "Connections at a time."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["admin"] = []
        self["set"] = {}
        self.networks: Sequence[Network] = ()
        self.connections_max = CONNECTIONS_MAX

    def getUsage(self, width: int | None = None) -> str:
        """The help text, with an example for each use."""
        return super().getUsage(width) + EXAMPLES

    def opt_listen(self, description: str) -> None:
        """Listen on a Twisted server endpoint; may be repeated.
        [default: tcp:8891:interface=127.0.0.1]"""
        self["listen"].append(_known("listen", description))

    def opt_admin(self, description: str) -> None:
        """Listen for mvmcas-ctl: unix:/path, or tcp:PORT:interface=127.0.0.1; may be repeated."""
        description = _known("admin", description)
        if description.startswith("unix:") and ":mode=" not in description:
            description += ":mode=600"
        self["admin"].append(description)

    def opt_set(self, assignment: str) -> None:
        """Set a control, as in --set greylist=on; may be repeated."""
        name, equals, value = assignment.partition("=")
        if not equals:
            raise usage.UsageError(f"--set {assignment}: wants NAME=VALUE")
        self["set"][name] = value

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"mvmcas {__version__}")
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See L{usage.Options}; errors are one line and exit status 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            sys.exit(f"mvmcas: {error}")

    def postOptions(self) -> None:
        """Look at the options together."""
        try:
            self.networks = networks(self["receivers"])
            self.connections_max = positive(self["max-connections"])
        except SettingError as error:
            raise usage.UsageError(str(error)) from error
        # twistd changes its folder.
        if self["control-dir"] is not None:
            self["control-dir"] = os.path.abspath(self["control-dir"])
        if self.parent is not None and self.parent["logger"] is None:
            use_twistd(self.parent)
            self.parent["logger"] = "mvmtr.log.twistd_observer"

    def settings(self) -> AssessSettings:
        """
        The controls.

        @raise SettingError: for one that does not exist, or a value that it can't have.
        """
        values = {name: AssessSettings.parse(name, text) for name, text in self["set"].items()}
        return AssessSettings().with_(values, dict.fromkeys(values, "command line"))


def _known(option: str, description: str) -> str:
    kind = description.partition(":")[0]
    if kind not in ENDPOINTS:
        known = ", ".join(ENDPOINTS)
        raise usage.UsageError(f"--{option} {description}: is none of {known}")
    return description


def makeService(options: Options) -> IService:
    """
    Make the service; see L{IServiceMaker<twisted.application.service.IServiceMaker>}.

    What can't be read or opened ends the program with one line on standard error and
    status 1.
    """
    from twisted.internet import reactor

    try:
        return _service(options, reactor)
    except (SettingError, StoreError, CannotListen) as error:
        sys.exit(f"mvmcas: {error}")


def _service(options: Options, reactor: Any) -> IService:
    settings = options.settings()
    folder = options["control-dir"]
    files = None if folder is None else RuleFiles(folder)
    engine = Engine(settings) if files is None else Engine(settings, files)
    _try_store(options, reactor)
    store = store_from_string(options["store"], reactor, settings.records_max)
    assessment = Assessment(engine, store, reactor)
    raise_limit()
    services = MultiService()
    assessment.setServiceParent(services)
    listen = _listener(options["listen"] or [LISTEN], assessment, options, reactor)
    listen.setServiceParent(services)
    if options["admin"]:
        admin = Admin(assessment, files)
        listen = _listener(options["admin"], assessment, options, reactor, admin)
        listen.setServiceParent(services)
        _check_private(listen)
    return services


def _try_store(options: Options, reactor: Any) -> None:
    """
    Say what is wrong with a file while twistd still has a terminal. It is opened for good
    by the process and the user that it is for.
    """
    another_user = options.parent is not None and options.parent["uid"] is not None
    if another_user or not options["store"].startswith("sqlite:"):
        return
    store = store_from_string(options["store"], reactor)
    failed: list[Failure] = []
    Deferred.fromCoroutine(store.open()).addErrback(failed.append)
    if failed:
        failed[0].raiseException()
    Deferred.fromCoroutine(store.close())


def _listener(
    endpoints: Sequence[str],
    assessment: Assessment,
    options: Options,
    reactor: Any,
    admin: Admin | None = None,
) -> Listener:
    factory: Any = PolicyFactory(
        assessment, reactor, admin, options.networks, options.connections_max
    )
    listener = Listener(reactor, endpoints, factory, STOP_TIMEOUT, reload=lambda: None)
    # Now, and not when the service starts, for twistd has no terminal any more then.
    listener.bind()
    return listener


def _check_private(listener: Listener) -> None:
    """Whoever can ask as the administrator can do all: nobody else may come near."""
    for port in listener.ports:
        host = getattr(port.getHost(), "host", "127.0.0.1")
        if not ip_address(host.partition("%")[0]).is_loopback:
            raise CannotListen(f"--admin is for unix: and for a loopback interface, not {host}")
