"""Workers that end while a program that they have started goes on."""

from __future__ import annotations

import os
import signal
import subprocess

from mvmtr.test.support import environment, free_port, twistd
from mvmtr.test.test_listener_limits import PATIENCE
from mvmtr.test.test_workers import ENVELOPE, TEXT, WorkersTestCase

QUEUE = """#!/bin/sh
echo begun $PPID >&2
while [ ! -e over ]; do sleep 0.1; done
echo over >&2
"""


class ProgramTests(WorkersTestCase):
    """The log is a file, to which the parent brings what workers and their programs write."""

    def begin(self, *arguments):
        """Start workers, and give one a message for a program that goes on; its worker."""
        program = self.home / "queue"
        program.write_text(QUEUE)
        program.chmod(0o755)
        self.log.touch()
        self.port = free_port()
        self.server = subprocess.Popen(
            twistd(
                "-n",
                "--pidfile=",
                f"--logfile={self.log}",
                "mvmtr",
                f"--control-dir={self.control}",
                f"--listen=tcp:{self.port}:interface=127.0.0.1",
                f"--queue=qmail:{program}",
                "--workers=2",
                *arguments,
            ),
            cwd=self.home,
            env=environment(),
        )
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        self.addCleanup((self.home / "over").touch)
        self.wait_for_ready(2)
        (client,) = self.assert_welcome("127.0.0.1")
        self.assertEqual(self.dialogue(client, ENVELOPE + b"DATA\r\n", 3), [250, 250, 354])
        client.sendall(TEXT)
        self.wait_for_log("begun")
        worker = self.log.read_text().partition("begun ")[2].split()[0]
        return int(worker)

    def test_a_worker_that_is_killed_is_replaced_at_once(self):
        worker = self.begin()
        os.kill(worker, signal.SIGKILL)
        self.wait_for_log(f"worker {worker} was ended by signal 9")
        self.wait_for_ready(3)
        (self.home / "over").touch()
        self.wait_for_log("over\n")

    def test_a_stop_does_not_wait_for_it(self):
        self.begin("--set=smtp_server_stop_timeout=1")
        self.server.terminate()
        self.server.wait(PATIENCE)
        self.assertEqual(self.log.read_text().count("has stopped"), 2)
