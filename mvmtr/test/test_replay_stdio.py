"""
Recorded conversations with real processes, C{twistd mvmtr --stdio} as tcpserver starts it:
on a socket, with the environment of the case, judged by its exit status as well.

Those of L{CHOSEN} are replayed; with MVMTR_REPLAY_ALL in the environment, all there are.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import termios
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test import support
from mvmtr.test.differences import expected, steps_of
from mvmtr.test.replay import (
    PATIENCE,
    Client,
    cases,
    control_folder_of,
    environment_of,
    method_name,
    observed,
    recorder_of,
)

CASES = dict(cases())

# At least one of each topic; more where the end of the process is what matters.
CHOSEN = (
    "address/route",
    "badmailfrom/directory",
    "badmailfrom/every-rcpt",
    "commands/rcpt-mail",
    "data/lf-whole-session",
    "databytes/env-only",
    "extensions/starttls",
    "greeting/multi-line",
    "greeting/neither-pipelined",
    "hops/received",
    "localiphost/numbers",
    "morercpthosts/hit",
    "morercpthosts/zero-bytes",
    "queue-exit/accepted-then-refused",
    "queue-exit/early-0-big",
    "rcpthosts/symlink-loop",
    "rcpthosts/wildcard",
    "received/unsafe-values",
    "relayclient/suffix",
    "session/eof-after-message",
    "session/eof-before-dot",
    "session/hang-up-after-dot",
    "session/pipeline-big",
    "syntax/rcpt-nul",
    "timeout/mid-command",
    "timeout/two-to-32",
)


def _unread(connection: socket.socket) -> int:
    """How many of the bytes that were sent have not been read."""
    answer = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


class ReplayStdio(SynchronousTestCase):
    """What the tests share."""

    maxDiff = None

    def replay(self, name: str, case: dict[str, Any]) -> None:
        home = support.folder(self).resolve()
        recorder = recorder_of(case, home)
        process_environment = {
            **environment_of(case),
            **recorder.environment,
            b"PYTHONPATH": os.fsencode(support.ROOT),
        }
        control = control_folder_of(case, home)
        elsewhere = support.folder(self)
        command = self.command(home, [f"--control-dir={control}", *case.get("args", [])], name)
        ours, theirs = socket.socketpair()
        begin = time.time()
        with theirs, open(home / "log", "wb") as log:
            process = subprocess.Popen(
                command,
                stdin=theirs,
                stdout=theirs,
                stderr=log,
                env=process_environment,
                cwd=elsewhere,
            )
        self.addCleanup(_ended, process)
        client = Client(ours, lambda _sent: _unread(ours) == 0)
        closed_by = client.converse(steps_of(name, case))
        status = process.wait(PATIENCE)
        outcome = observed(begin, client, closed_by, status, recorder)
        self.assertEqual(asdict(outcome), asdict(expected(name, case)))
        self.assertNotIn("Traceback", (home / "log").read_text())
        self.assertEqual(list(elsewhere.iterdir()), [])

    def command(self, home: Path, arguments: list[str], name: str) -> list[Any]:
        """
        What serves a connection.

        @param arguments: of mvmtr.
        """
        return support.twistd("mvmtr", "--stdio", *arguments)


class ReplayStdioTests(ReplayStdio):
    """One test for each chosen case."""


def _ended(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _replayed(name: str, case: dict[str, Any]) -> Any:
    def test(self: ReplayStdio) -> None:
        self.replay(name, case)

    test.__doc__ = case["purpose"]
    return test


def replaying(tests: type[ReplayStdio]) -> None:
    """Add a test for each case, as far as they are chosen."""
    for name in CASES if "MVMTR_REPLAY_ALL" in os.environ else CHOSEN:
        setattr(tests, method_name(name), _replayed(name, CASES[name]))


replaying(ReplayStdioTests)


class ChosenTests(SynchronousTestCase):
    """The choice leaves no topic out."""

    def test_every_topic_is_among_the_chosen_cases(self):
        topics = {name.partition("/")[0] for name in CHOSEN}
        self.assertEqual(topics, {name.partition("/")[0] for name in CASES})
