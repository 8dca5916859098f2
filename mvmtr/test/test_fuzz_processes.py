"""
Random conversations with servers as they are run: one process, workers, and the hand-off; some
at a time, and against the same model as in L{mvmtr.test.test_fuzz}.

Compared are the replies, who closes, what the queue is asked to take of whom, that no process ends
and that nothing is logged as an error; of the hand-off the exit status of the launcher as well.

Not done here, for a process has a real clock and the pieces reach it as the system likes: silence
until a timeout, a server that stops in the middle, a client that reads nothing. A check or a
queue that is late is so by a moment. Where a client vanishes with replies on their way, what it
has heard and what has been taken are the beginning of what the model says.

MVMTR_FUZZ_EXAMPLES in the environment says how many of L{mvmtr.test.test_fuzz} to play; here it
is a tenth of that for each kind of server.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test import model
from mvmtr.test.conversations import conversations, cut, noise
from mvmtr.test.fuzzed import FOLDER, noted
from mvmtr.test.launchers import Resident, compiled, script, socket_pair, until
from mvmtr.test.support import control_folder, environment, folder, port_in, twistd
from mvmtr.test.test_fuzz import EXAMPLES

PATIENCE = 60
"""Seconds to wait for what has to come."""

ENDS = ("half close", "half close", "loss")

OPTIONS = (
    "--check=mvmtr.test.fuzzed.ByName",
    "--queue=python:mvmtr.test.fuzzed.ByText",
    f"--set=smtp_server_command_max={model.COMMAND_MAX}",
    f"--set=smtp_server_msgsize_max={model.MESSAGE_MAX}",
    f"--set=smtp_server_hops_max={model.HOPS_MAX}",
    "--set=smtp_server_bodycache=40",
    "--set=smtp_server_xclient_networks=127.0.0.0/8",
)

CONTROLS = {
    "me": "mx.example\n",
    "badmailfrom": model.BADMAILFROM,
    "rcpthosts": b"\n".join(model.RCPTHOSTS),
}


@dataclass
class Plan:
    """
    What a client does.

    @ivar pieces: what it sends.
    @ivar waits: for each piece, over and over, whether it then waits for what is due.
    @ivar how: how it ends when the server does not.
    @ivar settled: whether all replies come before that.
    """

    pieces: list[bytes]
    waits: list[bool]
    how: str
    settled: bool


class Client:
    """
    A client that does what is planned.

    @param address: its own, which nobody else has.
    @ivar heard: all that the server has said.
    """

    def __init__(
        self,
        connection: socket.socket,
        address: str,
        plan: Plan,
        process: subprocess.Popen[bytes] | None,
    ) -> None:
        self.address = address
        self.plan = plan
        self.heard = b""
        self.expected = model.Model(b"".join(plan.pieces))
        self.process = process
        self._connection = connection
        self._closed = False
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def codes(self) -> list[int]:
        """The codes of all replies so far."""
        lines = self.heard.split(b"\r\n")[:-1]
        for line in lines:
            assert re.fullmatch(rb"[2-5]\d\d[ -][ -~]*", line) and len(line) <= 510, line
        return [int(line[:3]) for line in lines if line[3:4] == b" "]

    def send(self, place: int) -> None:
        """Send a piece, and perhaps wait for all that has to come of those so far."""
        try:
            self._connection.sendall(self.plan.pieces[place])
        except ConnectionError:
            # The server has closed. What it has said before is what counts.
            return
        if self.plan.waits[place % len(self.plan.waits)]:
            self._hear(len(model.Model(b"".join(self.plan.pieces[: place + 1])).codes))

    def end(self) -> None:
        """Go away as planned, or hear that the server does."""
        if self.plan.settled:
            self._hear(len(self.expected.codes))
        with self._connection:
            if self.is_lost:
                linger = struct.pack("ii", 1, 0)
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            if not self.expected.closed:
                self._connection.shutdown(socket.SHUT_WR)
            while not self._closed:
                self._read()
        assert self.heard.endswith(b"\r\n"), self.heard

    @property
    def is_lost(self) -> bool:
        """Whether it goes away without a word."""
        return self.plan.how == "loss"

    def _hear(self, replies: int) -> None:
        while not self._closed and len(self.codes) < replies:
            self._read()

    def _read(self) -> None:
        try:
            data = self._connection.recv(65536)
        except ConnectionResetError:
            data = b""
        self.heard += data
        self._closed = not data


class ProcessFuzzTests(SynchronousTestCase):
    """Whatever clients send, whenever and at the same time."""

    def setUp(self) -> None:
        self.home = folder(self)
        self.notes = self.home / "notes"
        self.notes.mkdir()
        self.control = control_folder(self.home, CONTROLS)
        self.addresses = map(str, map(ip_address, itertools.count(int(ip_address("127.1.0.1")))))
        self.lost: list[Client] = []

    # Servers

    def listen(self, workers: int) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a server, which listens on a port when this returns; and its log."""
        rules = self.home / "rules.cdb"
        subprocess.run(
            ["tcprules", rules, self.home / "rules.tmp"],
            input=b':allow,TCPREMOTEHOST="client.example"\n',
            check=True,
        )
        listen = "--listen=tcp:0:interface=127.0.0.1"
        more = (f"--control-dir={self.control}", f"--tcp-rules={rules}", f"--workers={workers}")
        log = self.home / "log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                twistd("-n", "--pidfile=", "mvmtr", listen, *more, *OPTIONS),
                stdout=output,
                stderr=output,
                env=environment(**{FOLDER: str(self.notes)}),
                cwd=self.home,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        until(lambda: process.poll() is not None or "starting up" in log.read_text(), "the server")
        self.port = port_in(log.read_text())
        return process, log

    def to_port(self, address: str) -> tuple[socket.socket, None]:
        """A connection to a port."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE, (address, 0)), None

    def hand_off(self, workers: int) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a server that takes connections over; and its log."""
        more = (f"--control-dir={self.control}", f"--workers={workers}")
        resident = Resident(self, *more, *OPTIONS, home=self.home, **{FOLDER: str(self.notes)})
        self.path = resident.path
        return resident.process, resident.log

    def to_launcher(
        self, launcher: Path, address: str
    ) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        """A connection that a launcher has, and that launcher."""
        ours, theirs = socket_pair()
        client = {"TCPREMOTEIP": address, "TCPREMOTEHOST": "client.example", "PROTO": "TCP"}
        with theirs:
            process = subprocess.Popen(
                [launcher, self.path],
                stdin=theirs,
                stdout=theirs,
                env={"PATH": os.environ["PATH"], **client},
            )
        return ours, process

    # Conversations

    def play(self, plans: list[Plan], connect: Any) -> None:
        """Play them at once, and compare."""
        clients = []
        for plan in plans:
            address = next(self.addresses)
            connection, process = connect(address)
            clients.append(Client(connection, address, plan, process))
        for place in range(max(len(plan.pieces) for plan in plans)):
            for client in clients:
                if place < len(client.plan.pieces):
                    client.send(place)
        for client in clients:
            client.end()
        for client in clients:
            self.compare(client)

    def compare(self, client: Client) -> None:
        """What one client heard, and what was taken of it."""
        codes = client.codes
        if not client.is_lost or client.plan.settled:
            self.assertEqual(codes, client.expected.codes)
            self.assertEqual(noted(self.notes, client.address), client.expected.deliveries)
        self.assertEqual(codes, client.expected.codes[: len(codes)])
        if client.is_lost:
            self.lost.append(client)
        if client.process is not None:
            status = client.process.wait(PATIENCE)
            if not client.is_lost:
                self.assertEqual(status, 0 if codes[-1] == 221 else 1)

    def fuzz(self, workers: int, start: Any, connect: Any) -> None:
        """Start a server, play many conversations, and stop it."""
        process, log = start(workers)
        ready = workers if workers > 1 else 0
        until(lambda: log.read_text().count("is ready") >= ready, "the workers")

        @settings(
            deadline=None,
            max_examples=max(1, EXAMPLES // 10),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(PLANS, min_size=1, max_size=3))
        def play(plans: list[Plan]) -> None:
            try:
                self.play(plans, connect)
            except Exception as error:
                # Trial does not show what hypothesis notes on an exception.
                raise self.failureException(f"{error}\n{plans=}") from error

        play()
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        self.assertEqual(log.read_text().count("is ready"), ready)
        self.assertNotIn("Traceback", log.read_text())
        for client in self.lost:
            taken = noted(self.notes, client.address)
            self.assertEqual(taken, client.expected.deliveries[: len(taken)])

    def test_one_process(self) -> None:
        self.fuzz(1, self.listen, self.to_port)

    def test_two_workers(self) -> None:
        self.fuzz(2, self.listen, self.to_port)

    def test_three_workers(self) -> None:
        self.fuzz(3, self.listen, self.to_port)

    def test_the_hand_off(self) -> None:
        self.fuzz(1, self.hand_off, partial(self.to_launcher, compiled() or script()))

    def test_the_hand_off_by_the_script(self) -> None:
        self.fuzz(1, self.hand_off, partial(self.to_launcher, script()))

    def test_the_hand_off_to_two_workers(self) -> None:
        self.fuzz(2, self.hand_off, partial(self.to_launcher, compiled() or script()))


PLANS = st.builds(
    Plan,
    st.one_of(cut(conversations), cut(conversations), cut(noise)),
    st.lists(st.booleans(), min_size=1, max_size=5),
    st.sampled_from(ENDS),
    st.booleans(),
)
