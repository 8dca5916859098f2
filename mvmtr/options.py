# -*- test-case-name: mvmtr.test.test_tap -*-
"""The options that say what a server is to do; all programs take them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from twisted.python import usage
from twisted.python.reflect import namedAny

from mvmtr import __version__
from mvmtr.assemble import CONTROL_DIR, Sources
from mvmtr.values import HANDOFF, SettingError


def file_last(arguments: Sequence[str]) -> list[str]:
    """
    Arguments whose first one may be a file, with that at their end: options that come
    behind it would be taken for files.
    """
    first = 1 if arguments and not arguments[0].startswith("-") else 0
    return [*arguments[first:], *arguments[:first]]


class ConfigurationOptions(usage.Options):
    """
    What the server is to do, and where its configuration comes from.

    @ivar missing_control_dir: the default control folder, when it was not found.
    @ivar given: the options as they were given.
    @ivar workers: how many processes serve the ports.
    """

    optFlags = [
        ["stdio", None, "Serve one client on descriptors 0 and 1; log to descriptor 2."],
        ["no-qmail", None, "Read no control file, and take no further arguments."],
        ["submission", None, "Take new mail from users who have authenticated, on tcp:587."],
    ]

    optParameters = [
        ["control-dir", None, None, f"Folder of qmail control files. [default: {CONTROL_DIR}]"],
        ["start-file", "C", None, "Startup file. [default: mvmtr.mfl in that folder, if there]"],
        ["tcp-rules", None, None, "Compiled rules file, as for tcpserver -x."],
        ["remote-host", None, "off", "Look up names of clients: off, ptr or paranoid."],
        [
            "queue",
            None,
            "qmail",
            "Where mail goes: qmail[:PROGRAM], maildir:FOLDER, discard: or python:CLASS",
        ],
        ["assess", None, None, "Who gives hints on clients: tcp:HOST:PORT, unix:/path or local."],
        [
            "assess-store",
            None,
            None,
            "Where --assess=local remembers. [default: sqlite:/var/lib/mvmcas.db]",
        ],
        ["hostname", None, None, "Own name in greeting and replies."],
        ["bodycache", "b", None, "Bytes of a message that are held in memory."],
        ["max-connections", None, None, "Sessions at a time. [default: 40]"],
        ["max-per-address", None, None, "The same for one client. [default: half of that]"],
        ["workers", None, None, "Processes that serve the ports: a number, or auto. [default: 1]"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["set"] = {}
        self["checks"] = []
        self["auth"] = []
        self["assess-set"] = {}
        self.link: Any = None
        self.arguments: Sequence[str] = ()
        self.given: Sequence[str] = ()
        self.workers = 1
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

    def opt_assess_set(self, assignment: str) -> None:
        """Set a control of --assess=local, as in --assess-set greylist=on; may be repeated."""
        name, equals, value = assignment.partition("=")
        if not equals:
            raise usage.UsageError(f"--assess-set {assignment}: wants NAME=VALUE")
        self["assess-set"][name] = value

    def opt_check(self, name: str) -> None:
        """Ask a check of your own first, given the dotted name of its class; may be repeated."""
        try:
            self["checks"].append(namedAny(name)())
        except Exception as error:
            raise usage.UsageError(f"--check {name}: {type(error).__name__}: {error}") from error

    def opt_auth(self, description: str) -> None:
        """Check passwords with TYPE[:ARGUMENT], see --help-auth; may be repeated."""
        from mvmtr.auth.from_string import BadChecker, checker_from_string

        try:
            self["auth"].append(checker_from_string(description))
        except BadChecker as error:
            raise usage.UsageError(f"--auth {error}") from None

    def opt_help_auth(self) -> None:
        """Show the types of --auth and exit."""
        from mvmtr.auth.from_string import types

        print("\n".join(types()))
        sys.exit(0)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"mvmtr {__version__}")
        sys.exit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Keep the arguments that are no options."""
        self.arguments = arguments

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See L{usage.Options}; errors are one line and exit status 1."""
        self.given = sys.argv[1:] if options is None else options
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            sys.exit(f"mvmtr: {error}")

    def postOptions(self) -> None:
        """Look at the options together."""
        self._find_controls()
        if self.arguments and self["control-dir"] is None:
            raise usage.UsageError(
                f"without qmail compatibility there are no arguments: {' '.join(self.arguments)}"
            )
        for option, control in (
            ("hostname", "usehostname"),
            ("bodycache", "smtp_server_bodycache"),
            ("max-connections", "smtp_server_connections_max"),
            ("max-per-address", "smtp_server_connections_per_address"),
        ):
            if self[option] is not None:
                self["set"][control] = self[option]
        if self["remote-host"] not in ("off", "ptr", "paranoid"):
            raise usage.UsageError("--remote-host is off, ptr or paranoid")
        if self["stdio"]:
            self._check_stdio()
        if self["workers"] is not None:
            self._count_workers(self["workers"])
        self._link()
        for option in ("tcp-rules", "start-file"):
            if self[option] is not None:
                self[option] = os.path.abspath(self[option])

    def _count_workers(self, text: str) -> None:
        from mvmtr.workers import check_twistd, number_of

        try:
            self.workers = number_of(text)
            if self.workers > 1 and self.parent is not None:
                check_twistd(self.parent)
        except ValueError as error:
            raise usage.UsageError(f"--workers: {error}") from None

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

    def _link(self) -> None:
        """Who is asked for hints; only what is used is loaded."""
        local = self["assess"] == "local"
        for option in ("assess-store", "assess-set"):
            if self[option] and not local:
                raise usage.UsageError(f"--{option} is for --assess=local")
        if self["assess"] is None:
            return
        from mvmtr.assess.link import STORE, Link

        store = self["assess-store"] or STORE
        if local and self["stdio"] and store == "memory:":
            raise usage.UsageError("--stdio: memory: would not last from one session to the next")
        if local and self.workers > 1 and store == "memory:":
            raise usage.UsageError("--workers: memory: would be another one for each worker")
        try:
            self.link = Link(self["assess"], store, self["assess-set"], self["control-dir"])
        except SettingError as error:
            raise usage.UsageError(str(error)) from error

    def _check_stdio(self) -> None:
        """What only a listening server can do is done by tcpserver otherwise."""
        for option in ("listen", "tcp-rules", "max-connections", "max-per-address", "workers"):
            if self[option]:
                raise usage.UsageError(f"--stdio and --{option} exclude each other")
        if self["remote-host"] != "off":
            raise usage.UsageError("--stdio and --remote-host exclude each other")

    def warnings(self) -> Iterator[str]:
        """What the options are probably not meant to say."""
        if self["submission"] and not self["auth"]:
            yield "--submission without --auth: nobody may send but clients with RELAYCLIENT"

    def sources(self) -> Sources:
        """Where the configuration comes from."""
        return Sources(
            control_dir=self["control-dir"],
            tcp_rules=self["tcp-rules"],
            queue=self["queue"],
            overrides=self["set"],
            checks=tuple(self["checks"]),
            submission=bool(self["submission"]),
            start_file=self["start-file"],
            handoff=any(each.startswith(f"{HANDOFF}:") for each in self["listen"]),
            assess=self.link,
        )
