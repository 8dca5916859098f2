"""Random bytes for two workers, over TCP: none of them ends, and each reply is one."""

from __future__ import annotations

import os
import re
import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvmtr.test.conversations import conversations, cut, noise
from mvmtr.test.test_listener_limits import PATIENCE
from mvmtr.test.test_workers import WorkersTestCase

EXAMPLES = int(os.environ.get("MVMTR_FUZZ_EXAMPLES", "400")) // 10


class WorkersFuzzTests(WorkersTestCase):
    """Whatever a client sends, in whichever pieces."""

    def play(self, pieces):
        """Send it all, and say that this was all; what the server says."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            try:
                for piece in pieces:
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: client.recv(65536), b""))
            except ConnectionError:
                # The server has closed first, and did not want the rest.
                return b""

    def test_each_reply_is_one_and_no_worker_ends(self):
        self.serve("--set=smtp_server_connections_max=1000")
        workers = self.workers()

        @settings(
            deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
        )
        @given(st.one_of(cut(conversations), cut(noise)))
        def play(pieces):
            for line in self.play(pieces).splitlines(keepends=True):
                self.assertRegex(line, re.compile(rb"[2-5]\d\d[ -][ -~]*\r\n\Z"))

        play()
        self.assertEqual(self.workers(), workers)
        self.assertNotIn("Traceback", self.log.read_text())
