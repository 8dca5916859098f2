"""
Recorded conversations with two workers, over TCP: L{CHOSEN}, or with MVMTR_REPLAY_ALL in the
environment all whose outcome is the same on a port.

The lines of Received are not compared, for they name the addresses of the connection.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test import support
from mvmtr.test.differences import expected, steps_of
from mvmtr.test.replay import (
    PATIENCE,
    Client,
    Outcome,
    cases,
    control_folder_of,
    environment_of,
    method_name,
    observed,
    recorder_of,
)

_FROM_RULES = (b"RELAYCLIENT", b"DATABYTES")
"""Variables that can come from the rules of a listening server."""


def _is_for_a_port(name: str, case: dict[str, Any]) -> bool:
    """Whether it is about a session, and not about addresses or a server that can't begin."""
    return not (
        name.startswith("localiphost/")
        or expected(name, case).replies[:1] in ([], ["421"])
        or expected(name, case).replies[0].startswith("421 ")
        or any("drained" in step for step in steps_of(name, case))
    )


CASES = {name: case for name, case in cases() if _is_for_a_port(name, case)}

CHOSEN = (
    "address/route",
    "badmailfrom/every-rcpt",
    "data/lf-whole-session",
    "databytes/env-only",
    "greeting/multi-line",
    "hops/received",
    "morercpthosts/hit",
    "queue-exit/accepted-then-refused",
    "relayclient/suffix",
    "session/eof-before-dot",
    "session/pipeline-big",
    "syntax/rcpt-nul",
    "timeout/mid-command",
)


class ReplayWorkersTests(SynchronousTestCase):
    """One test for each chosen case."""

    maxDiff = None

    def replay(self, name: str, case: dict[str, Any]) -> None:
        home = support.folder(self).resolve()
        recorder = recorder_of(case, home)
        control = control_folder_of(case, home)
        begin = time.time()
        port = self.start(case, home, control, recorder)
        client = Client(socket.create_connection(("127.0.0.1", port), PATIENCE), lambda _sent: True)
        closed_by = client.converse(steps_of(name, case))
        wanted = expected(name, case)
        self.stop()
        outcome = observed(begin, client, closed_by, wanted.exit, recorder)
        self.assertEqual(_plain(outcome), _plain(wanted))
        self.assertNotIn("Traceback", (home / "log").read_text())

    def start(self, case: dict[str, Any], home: Any, control: Any, recorder: Any) -> int:
        """Start a server; its port."""
        given = environment_of(case)
        rule = b"".join(
            b",%s=~%s~" % (variable, given[variable])
            for variable in _FROM_RULES
            if variable in given
        )
        rules = home / "rules.cdb"
        subprocess.run(
            ["tcprules", str(rules), str(rules) + ".tmp"], input=b":allow%s\n" % rule, check=True
        )
        port = support.free_port()
        with open(home / "log", "wb") as log:
            self.server = subprocess.Popen(
                support.twistd(
                    "-n",
                    "--pidfile=",
                    "mvmtr",
                    f"--control-dir={control}",
                    f"--tcp-rules={rules}",
                    f"--listen=tcp:{port}:interface=127.0.0.1",
                    "--workers=2",
                ),
                stdout=log,
                stderr=log,
                env={
                    **os.environb,
                    **recorder.environment,
                    b"PYTHONPATH": os.fsencode(support.ROOT),
                },
                cwd=home,
            )
        self.addCleanup(self.stop)
        end = time.monotonic() + PATIENCE
        while (home / "log").read_text().count("is ready") < 2:
            self.assertLess(time.monotonic(), end, (home / "log").read_text())
            time.sleep(0.02)
        return port

    def stop(self) -> None:
        """End the server, once its sessions are over."""
        self.server.terminate()
        self.server.wait(2 * PATIENCE)


def _plain(outcome: Outcome) -> Outcome:
    runs = [replace(run, received=None) for run in outcome.runs]
    return replace(outcome, runs=runs)


def _replayed(name: str, case: dict[str, Any]) -> Any:
    def test(self: ReplayWorkersTests) -> None:
        self.replay(name, case)

    test.__doc__ = case["purpose"]
    return test


for _name in CASES if "MVMTR_REPLAY_ALL" in os.environ else CHOSEN:
    setattr(ReplayWorkersTests, method_name(_name), _replayed(_name, CASES[_name]))
