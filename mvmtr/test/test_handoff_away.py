"""A hand-over that comes to nothing, and one whose one side goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from mvmtr.test.launchers import (
    SORRY,
    Handed,
    rest,
    until,
    with_each_launcher,
)
from mvmtr.test.support import twistd
from mvmtr.test.test_stdio import CODES, SESSION, codes, plain_environment


class AwayTests(Handed):
    """When nobody takes the connection over, the launcher has it still."""

    def test_the_client_hears_421(self):
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(self.home / "left"))
        for name in ("none", "left", "x" * 200):
            said, status, complaint = self.session(b"", path=self.home / name)
            self.assertEqual((said, status), (SORRY, 1))
            self.assertRegex(complaint, rf"\Amvmtr-handoff: {self.home}/{name}: .*\n\Z")

    def test_a_client_that_expects_tls_hears_nothing_in_clear(self):
        self.assertEqual(self.session(b"", SMTPS="1")[:2], (b"", 1))

    def test_an_environment_that_is_too_large_is_not_handed_over(self):
        self.resident()
        said, status, complaint = self.session(b"", **{f"X{n}": "x" * 50000 for n in range(3)})
        self.assertEqual((said, status), (SORRY, 1))
        self.assertIn("too large" if "Compiled" in type(self).__name__ else "larger", complaint)

    def test_a_large_environment_is(self):
        self.resident()
        said, status, _complaint = self.session(
            b"QUIT\r\n", **{f"X{n}": "x" * 60000 for n in range(2)}
        )
        self.assertEqual((codes(said), status), ([220, 221], 0))

    def listen(self, backlog=10):
        """Be in the place of the resident."""
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        path = self.home / "fake"
        path.unlink(missing_ok=True)
        server.bind(str(path))
        server.listen(backlog)
        return server, path

    def answer(self, server, answer):
        """Answer one launcher so and be gone."""
        with server.accept()[0] as launcher:
            _data, ((_level, _type, rights),), *_rest = launcher.recvmsg(65536, 32)
            os.close(int.from_bytes(rights[:4], sys.byteorder))
            launcher.sendall(answer)

    def fake(self, answer):
        """Somebody in the place of the resident, who answers so and is gone."""
        server, path = self.listen()
        thread = threading.Thread(target=self.answer, args=(server, answer))
        thread.start()
        self.addCleanup(thread.join)
        return path

    def test_one_that_goes_before_it_has_begun_has_said_nothing(self):
        for answer in (b"", b"?"):
            said, status, _complaint = self.session(b"", path=self.fake(answer))
            self.assertEqual((said, status), (SORRY, 1))

    def test_one_that_goes_later_may_have_said_something(self):
        for answer, wanted in ((b"+", 1), (b"+0", 0), (b"+1", 1), (b"+x", 1)):
            fallback = ("--fallback",) if answer == b"+" else ()
            said, status, complaint = self.session(b"", *fallback, path=self.fake(answer))
            self.assertEqual((said, status, complaint), (b"", wanted, ""))

    def test_where_others_wait_before_it_it_waits_too(self):
        server, path = self.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            ours, process = self.connect(path=path)
            # Its descriptor 3, or the next, is the socket that can't connect yet.
            until(lambda: self.sockets_of(process) > 2, "the launcher")
            server.accept()[0].close()
        self.answer(server, b"+0")
        self.assertEqual((rest(ours), process.wait(60)), (b"", 0))

    def sockets_of(self, process):
        """How many sockets a process has open, or 3 when it has ended."""
        try:
            links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        except OSError:
            return 3 if process.poll() is not None else 0
        return sum(link.startswith("socket:") for link in links)

    def test_with_fallback_there_is_a_process_of_its_own(self):
        said, status, complaint = self.session(
            SESSION + b"QUIT\r\n", "--fallback", f"--control-dir={self.control}",
            PATH=f"{os.path.dirname(twistd()[0])}:{os.environ['PATH']}",
            PYTHONPATH=plain_environment()["PYTHONPATH"],
        )  # fmt: skip
        self.assertEqual((codes(said), status), ([*CODES, 221], 0))
        self.assertIn("mvmtr: event=connection ", complaint)

    def test_a_fallback_that_is_not_there_is_421(self):
        said, status, complaint = self.session(b"", "--fallback", PATH="/none")
        if "Compiled" in type(self).__name__ or b"421" in said:
            self.assertEqual((said, status), (SORRY, 1))
            self.assertIn("twistd: No such file", complaint.replace("[Errno 2] ", ""))

    def test_bad_options_are_explained(self):
        for options in ((), ("",), ("-x", "y"), ("a", "b"), ("--fallback",), ("--help",)):
            done = subprocess.run(
                [self.launcher, *options], capture_output=True, stdin=subprocess.DEVNULL
            )
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertRegex(done.stderr, rb"\Amvmtr-handoff: usage: .*\n\Z")

    def test_a_resident_that_is_killed_says_no_more_and_nobody_else_does(self):
        self.resident()
        ours, process = self.connect("--fallback")
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        self.server.end(signal.SIGKILL)
        self.assertEqual(rest(ours), b"")
        self.assertEqual(process.wait(60), 1)

    def test_a_launcher_that_is_killed_takes_its_session_along(self):
        self.resident()
        ours, process = self.connect()
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        process.kill()
        self.assertEqual(rest(ours), b"421 4.3.2 service is going down (#4.3.2)\r\n")
        self.assertEqual(codes(self.session(b"QUIT\r\n")[0]), [220, 221])

    def test_a_message_that_the_queue_has_is_finished_first(self):
        slow = self.home / "slow"
        slow.write_text(
            f"#!/bin/sh\ncd {self.home}\n>begun\n"
            f"while [ ! -e go ]; do sleep 0.05; done\nexec {self.recorder.program}\n"
        )
        slow.chmod(0o755)
        self.resident()
        ours, process = self.connect(QMAILQUEUE=str(slow))
        ours.sendall(SESSION)
        until((self.home / "begun").exists, "the queue")
        process.kill()
        process.wait()
        (self.home / "go").touch()
        self.assertEqual(codes(rest(ours)), [*CODES, 421])

    def test_a_launcher_that_is_killed_before_the_header_of_a_proxy_takes_its_client_along(self):
        self.resident("--set=smtp_server_proxy_networks=203.0.113.7")
        ours, process = self.connect()
        until(lambda: self.begun(process), "the hand-over")
        process.kill()
        self.assertEqual(rest(ours), b"")

    def begun(self, process):
        """Whether a launcher has let go of its client."""
        return not os.path.exists(f"/proc/{process.pid}/fd/1")

    def test_sessions_end_when_the_resident_is_stopped(self):
        self.resident()
        ours, process = self.connect()
        self.assertEqual(ours.recv(100)[:4], b"220 ")
        self.assertEqual(self.server.end(), -signal.SIGTERM)
        self.assertEqual(rest(ours), b"421 4.3.2 service is going down (#4.3.2)\r\n")
        self.assertEqual(process.wait(60), 1)


globals().update(with_each_launcher(AwayTests))
del AwayTests
