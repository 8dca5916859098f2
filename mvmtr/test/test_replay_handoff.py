"""
Recorded conversations through the hand-off: a launcher has the socket and the environment of the
case, and a mvmtr that runs already takes it over. See L{mvmtr.test.test_replay_stdio}.

Where there is a compiler the launcher is the one in C; with MVMTR_REPLAY_ALL in the environment
each of both has its turn.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mvmtr.test.differences import expected
from mvmtr.test.launchers import Resident, compiled, script
from mvmtr.test.support import twistd
from mvmtr.test.test_replay_stdio import CASES, ReplayStdio, replaying


class ReplayHandoff(ReplayStdio):
    """
    What the tests share.

    @cvar launcher: the program that has the socket.
    """

    launcher: Path
    resident: Resident | None = None

    def replay(self, name: str, case: dict[str, Any]) -> None:
        super().replay(name, case)
        if self.resident is not None:
            self.assertNotIn("Traceback", self.resident.logged)

    def command(self, home: Path, arguments: list[str], name: str) -> list[Any]:
        """A launcher; where controls can't be read nobody runs, and it falls back."""
        if expected(name, CASES[name]).replies[0].startswith("421"):
            beside = home / "bin" / "mvmtr-handoff"
            beside.write_bytes(self.launcher.read_bytes())
            beside.chmod(0o755)
            (home / "bin" / "twistd").symlink_to(twistd()[0])
            return [beside, "--fallback", home / "socket", *arguments]
        self.resident = Resident(self, *arguments, home=home)
        return [self.launcher, self.resident.path]


class ReplayHandoffTests(ReplayHandoff):
    """One test for each chosen case."""

    launcher = compiled() or script()


class ReplayScriptTests(ReplayHandoff):
    """One test for each case with the launcher in Python."""

    launcher = script()


replaying(ReplayHandoffTests)
if "MVMTR_REPLAY_ALL" in os.environ:
    replaying(ReplayScriptTests)
