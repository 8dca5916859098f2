"""What tests of the hand-off share: both launchers, and a mvmtr that runs already."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import Recorder, control_folder, folder, twistd
from mvmtr.test.test_stdio import TCP, plain_environment

SOURCES = Path(__file__).parent.parent / "launcher"
SORRY = b"421 4.3.2 service is not available now, try again later (#4.3.2)\r\n"
"""What a launcher says when nobody takes its connection over."""

WARNINGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror")

LAUNCHERS = ("Script", "Compiled")


def _folder() -> Path:
    home = Path(tempfile.mkdtemp(prefix="mvmtr-test-"))
    atexit.register(shutil.rmtree, home)
    return home


@functools.cache
def script() -> Path:
    """The launcher in Python, beside an interpreter, as it is installed."""
    home = _folder()
    (home / "python3").symlink_to(os.path.realpath(sys.executable))
    return Path(shutil.copy(SOURCES / "mvmtr-handoff", home))


@functools.cache
def compiled() -> Path | None:
    """The launcher in C; C{None} where there is no compiler."""
    if shutil.which("cc") is None:
        return None
    program = _folder() / "mvmtr-handoff"
    subprocess.run(["cc", *WARNINGS, "-o", program, SOURCES / "mvmtr-handoff.c"], check=True)
    return program


def with_each_launcher(case: type) -> Iterator[tuple[str, type]]:
    """A test case for each launcher, made of one that runs its C{launcher}."""
    for kind in LAUNCHERS:
        program = script() if kind == "Script" else compiled()
        name = f"{kind}{case.__name__}"
        attributes: dict[str, Any] = {"launcher": program, "__module__": case.__module__}
        if program is None:
            attributes["skip"] = "there is no C compiler (cc)"
        yield name, type(name, (case,), attributes)


def until(there: Callable[[], Any], what: str, patience: float = 60) -> Any:
    """Wait for something that has to come."""
    end = time.monotonic() + patience
    while not (found := there()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)
    return found


class Resident:
    """
    A mvmtr that takes connections over.

    @param options: of mvmtr.
    @param variables: those of its own environment.
    @ivar path: of its socket.
    @ivar log: the file of its log.
    """

    def __init__(
        self,
        test: Any,
        *options: str,
        home: Path | None = None,
        endpoint: str = "",
        twisted: tuple[str, ...] = (),
        **variables: str,
    ) -> None:
        home = home or folder(test)
        self.path = home / "socket"
        self.log = home / "resident.log"
        endpoint = f"--listen=handoff:{self.path}{endpoint}"
        command = twistd("--nodaemon", "--pidfile=", *twisted, "mvmtr", endpoint, *options)
        self._before = len(self.logged)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=plain_environment(**variables),
                cwd=home,
            )
        test.addCleanup(self.end, signal.SIGKILL)
        until(self._is_ready, "the resident")

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.logged}")
        return "starting up" in self.logged[self._before :] and self.path.exists()

    @property
    def logged(self) -> str:
        """All that it has logged."""
        return self.log.read_text() if self.log.exists() else ""

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it by a signal; how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname(), 60)
        return ours, server.accept()[0]


def rest(connection):
    """All that is said until the end."""
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        pass
    return said


class Handed(SynchronousTestCase):
    """What the tests with a launcher share."""

    launcher = None

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)
        self.record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])

    def resident(self, *options, **keywords):
        control = f"--control-dir={self.control}"
        self.server = Resident(self, control, *options, home=self.home, **keywords)
        return self.server

    def launch(self, stdin, *options, path=None, user=None, variables=TCP, **more):
        """Start a launcher as tcpserver does."""
        environment = {"RECORD_DIR": self.record, "PATH": os.environ["PATH"], **variables, **more}
        process = subprocess.Popen(
            [self.launcher, *options[:1], path or self.home / "socket", *options[1:]],
            stdin=stdin,
            stdout=stdin,
            stderr=subprocess.PIPE,
            env=environment,
            user=user,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        stdin.close()
        return process

    def connect(self, *options, pair=socket_pair, **keywords):
        """Connect to a launcher; our end, and the process."""
        ours, theirs = pair()
        ours.settimeout(60)
        self.addCleanup(ours.close)
        return ours, self.launch(theirs, *options, **keywords)

    def session(self, data, *options, **keywords):
        """A session as a whole: what was said, and how the launcher ended."""
        ours, process = self.connect(*options, **keywords)
        with contextlib.suppress(OSError):
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
        said = rest(ours)
        _nothing, complaint = process.communicate(timeout=60)
        return said, process.returncode, complaint.decode()
