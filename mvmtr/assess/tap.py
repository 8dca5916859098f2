# -*- test-case-name: mvmtr.test.test_assess_tap -*-
"""From the options of C{twistd mvmcas} to the service that it runs."""

from __future__ import annotations

import sys

from twisted.python import usage

from mvmtr import __version__
from mvmtr.assess.settings import AssessSettings

LISTEN = "tcp:8891:interface=127.0.0.1"
STORE = "sqlite:/var/lib/mvmcas.db"


class Options(usage.Options):
    """The options of C{twistd mvmcas}."""

    synopsis = "[options]"

    optParameters = [["store", None, STORE, "sqlite:/path, redis:HOST[:PORT[:DATABASE]], memory:"]]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["set"] = {}

    def opt_listen(self, description: str) -> None:
        """Listen on a Twisted server endpoint; may be repeated. [default: tcp:8891:interface=127.0.0.1]"""
        self["listen"].append(description)

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

    def settings(self) -> AssessSettings:
        """
        The controls.

        @raise SettingError: for one that does not exist, or a value that it can't have.
        """
        values = {name: AssessSettings.parse(name, text) for name, text in self["set"].items()}
        return AssessSettings().with_(values, dict.fromkeys(values, "command line"))
