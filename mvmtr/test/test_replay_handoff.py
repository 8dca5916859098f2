"""
Recorded conversations through the hand-off: a launcher has the socket and the environment of the
case, and a mvmtr that runs already takes it over. See L{mvmtr.test.test_replay_stdio}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mvmtr.test.differences import expected
from mvmtr.test.launchers import Resident, compiled, script
from mvmtr.test.support import twistd
from mvmtr.test.test_replay_stdio import CASES, ReplayStdio, replaying


class ReplayHandoffTests(ReplayStdio):
    """One test for each chosen case."""

    resident: Resident | None = None

    def replay(self, name: str, case: dict[str, Any]) -> None:
        super().replay(name, case)
        if self.resident is not None:
            self.assertNotIn("Traceback", self.resident.logged)

    def command(self, home: Path, arguments: list[str], name: str) -> list[Any]:
        """A launcher; where controls can't be read nobody runs, and it falls back."""
        launcher = compiled() or script()
        if expected(name, CASES[name]).replies[0].startswith("421"):
            beside = home / "bin" / "mvmtr-handoff"
            beside.write_bytes(launcher.read_bytes())
            beside.chmod(0o755)
            (home / "bin" / "twistd").symlink_to(twistd()[0])
            return [beside, "--fallback", home / "socket", *arguments]
        self.resident = Resident(self, *arguments, home=home)
        return [launcher, self.resident.path]


replaying(ReplayHandoffTests)
