"""
Recorded conversations over TCP with a server that listens: one process, two and three workers.

The rules of the server set what a case says of a connection. What it does not say is known here,
so the line of Received is compared where all of it is said. A process has no exit status for one
session; where the controls of a case can't be read, the server ends at once.

The cases of L{CHOSEN} are shared out; with MVMTR_REPLAY_ALL in the environment each number of
processes gets all there are.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test import support
from mvmtr.test.differences import expected, steps_of
from mvmtr.test.launchers import until
from mvmtr.test.replay import (
    PATIENCE,
    Client,
    Outcome,
    control_folder_of,
    environment_of,
    method_name,
    observed,
    recorder_of,
)
from mvmtr.test.test_replay_stdio import CASES, CHOSEN

_NAMED_IN_RECEIVED = {b"TCPREMOTEIP", b"TCPREMOTEHOST", b"TCPLOCALHOST"}


class ReplayListening(SynchronousTestCase):
    """
    What the tests share.

    @cvar number: how many processes serve the port.
    """

    maxDiff = None
    number = 1

    def replay(self, name: str, case: dict[str, Any]) -> None:
        self.home = support.folder(self).resolve()
        recorder = recorder_of(case, self.home)
        wanted = expected(name, case)
        begin = time.time()
        self.start(case, recorder)
        if wanted.replies[0].startswith("421"):
            self.assertEqual(self.server.wait(PATIENCE), 1)
            self.assertRegex(self.logged, r"\Amvmtr: .*\n\Z")
            return
        until(self.is_ready, "the server")
        port = support.port_in(self.logged)
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
        client = Client(connection, lambda _sent: _unread(connection) == 0)
        closed_by = client.converse(steps_of(name, case))
        self.stop()
        outcome = observed(begin, client, closed_by, wanted.exit, recorder)
        if not environment_of(case).keys() >= _NAMED_IN_RECEIVED:
            outcome, wanted = _without_received(outcome), _without_received(wanted)
        self.assertEqual(outcome, wanted)
        self.assertNotIn("Traceback", self.logged)

    def start(self, case: dict[str, Any], recorder: support.Recorder) -> None:
        """Start a server on a port."""
        control = control_folder_of(case, self.home)
        rules = self.home / "rules.cdb"
        _write_rules(rules, environment_of(case))
        self.log = self.home / "log"
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                support.twistd(
                    "-n",
                    "--pidfile=",
                    "mvmtr",
                    f"--control-dir={control}",
                    f"--tcp-rules={rules}",
                    "--listen=tcp:0:interface=127.0.0.1",
                    f"--workers={self.number}",
                    *case.get("args", []),
                ),
                stdout=log,
                stderr=log,
                env={
                    **os.environb,
                    **recorder.environment,
                    b"PYTHONPATH": os.fsencode(support.ROOT),
                },
                cwd=self.home,
            )
        self.addCleanup(self.stop)

    def is_ready(self) -> bool:
        """Whether all processes serve the port."""
        self.assertIsNone(self.server.poll(), self.logged)
        workers = self.number if self.number > 1 else 0
        return "starting up" in self.logged and self.logged.count("is ready") == workers

    @property
    def logged(self) -> str:
        """All that it has logged."""
        return self.log.read_text()

    def stop(self) -> None:
        """End the server, once its sessions are over."""
        self.server.terminate()
        self.server.wait(2 * PATIENCE)


def _write_rules(path: Path, variables: dict[bytes, bytes]) -> None:
    """Make the rule for all clients that tcprules would make, if it took any bytes in values."""
    value = b"".join(b"+%s=%s\0" % pair for pair in variables.items())
    subprocess.run(
        ["cdbmake", path, f"{path}.tmp"], input=b"+0,%d:->%s\n\n" % (len(value), value), check=True
    )


def _unread(connection: socket.socket) -> int:
    """How many of the bytes that were sent have not been read by another process."""
    ends = [connection.getsockname()[1], connection.getpeername()[1]]
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _number, local, remote, _state, queues, *_more = line.split()
        sending, receiving = (int(count, 16) for count in queues.split(":"))
        here = [int(end.rpartition(":")[2], 16) for end in (local, remote)]
        if here == ends:
            waiting += sending
        elif here == ends[::-1]:
            waiting += receiving
    return waiting


def _without_received(outcome: Outcome) -> Outcome:
    return replace(outcome, runs=[replace(run, received=None) for run in outcome.runs])


class ReplayOneProcessTests(ReplayListening):
    """One process, which is no worker."""


class ReplayTwoWorkersTests(ReplayListening):
    """Two workers."""

    number = 2


class ReplayThreeWorkersTests(ReplayListening):
    """Three workers."""

    number = 3


def _replayed(name: str, case: dict[str, Any]) -> Any:
    def test(self: ReplayListening) -> None:
        self.replay(name, case)

    test.__doc__ = case["purpose"]
    return test


def _share_out(*classes: type[ReplayListening]) -> None:
    """Add tests for the chosen cases, or for each case to each class."""
    for place, tests in enumerate(classes):
        for name in CASES if "MVMTR_REPLAY_ALL" in os.environ else CHOSEN[place :: len(classes)]:
            setattr(tests, method_name(name), _replayed(name, CASES[name]))


_share_out(ReplayOneProcessTests, ReplayTwoWorkersTests, ReplayThreeWorkersTests)
