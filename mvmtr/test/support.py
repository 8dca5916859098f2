"""What tests share: control folders, a stand-in for qmail-queue, servers and clients."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from mvmtr.assemble import Assembly, Sources
from mvmtr.interfaces import ICheck
from mvmtr.protocol.delivery import anonymous_portal
from mvmtr.protocol.server import ReceiverFactory
from mvmtr.session import Connection

ROOT = Path(__file__).parent.parent.parent
"""The folder that holds the package: the checkout, or site-packages."""

CLIENT = Connection(
    remote_ip=b"203.0.113.7",
    remote_host=b"client.example",
    local_ip=b"198.51.100.1",
    local_host=b"mx.example",
)


def folder(test: TestCase) -> Path:
    """A new empty folder that goes away with the test."""
    temporary = tempfile.TemporaryDirectory(prefix="mvmtr-test-")
    test.addCleanup(temporary.cleanup)
    return Path(temporary.name)


def control_folder(home: Path, files: Mapping[str, bytes | str]) -> Path:
    """A control folder in a qmail home."""
    control = home / "control"
    control.mkdir(exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (control / name).write_bytes(data)
    return control


class Recorder:
    """
    A stand-in for qmail-queue in the C{bin} of a qmail home, and what it recorded.

    @param plan: what it does in each run; see C{queue_program.py}.
    """

    def __init__(self, home: Path, plan: Iterable[object] = (0,)) -> None:
        self.program = home / "bin" / "qmail-queue"
        self.records = home / "records"
        self.environment = {b"RECORD_DIR": os.fsencode(self.records)}
        self.program.parent.mkdir(exist_ok=True)
        self.records.mkdir()
        source = (Path(__file__).parent / "queue_program.py").read_text()
        self.program.write_text(f"#!{sys.executable} -IS\n{source}")
        self.program.chmod(0o755)
        self.plan(plan)

    def plan(self, plan: Iterable[object]) -> None:
        """Say what it does in the runs from the first one on."""
        (self.records / "plan").write_text("\n".join(str(what) for what in plan))

    @property
    def runs(self) -> int:
        """How often it was started."""
        return len(list(self.records.glob("run*")))

    def recorded(self, name: str, run: int = 0) -> bytes:
        """C{message}, C{envelope}, C{pid}, C{cwd} or C{environment} of a run."""
        return (self.records / f"run{run}" / name).read_bytes()


def assemble(
    control: Path | None = None,
    queue: str = "discard:",
    checks: tuple[ICheck, ...] = (),
    clock: Any = None,
    **overrides: str,
) -> Assembly:
    """A configuration from a control folder and overriding controls."""
    sources = Sources(
        control_dir=None if control is None else str(control),
        queue=queue,
        checks=checks,
        overrides=overrides,
    )
    return Assembly(sources, clock or reactor)


def factory_of(assembly: Assembly, connection: Connection = CLIENT) -> ReceiverFactory:
    """A factory whose sessions all come from the same client."""
    return ReceiverFactory(assembly.for_connection, anonymous_portal(), lambda _raw: connection)


class Talk:
    """
    A session over a transport in memory, with a clock that stands still.

    @ivar said: all that the server has written.
    """

    def __init__(self, assembly: Assembly, connection: Connection = CLIENT) -> None:
        self.clock = Clock()
        self.transport = StringTransport()
        self.receiver = factory_of(assembly, connection).buildProtocol(None)
        self.receiver.callLater = self.clock.callLater
        self.receiver.seconds = self.clock.seconds
        self.receiver.makeConnection(self.transport)

    @property
    def said(self) -> bytes:
        """All that the server has written since it was last asked."""
        data = self.transport.value()
        self.transport.clear()
        return data

    @property
    def codes(self) -> list[int]:
        """The reply codes in what the server has written since it was last asked."""
        lines = self.said.split(b"\r\n")[:-1]
        return [int(line[:3]) for line in lines if line[3:4] == b" "]

    @property
    def closed(self) -> bool:
        """Whether the server has closed the connection."""
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def send(self, *lines: bytes) -> list[int]:
        """Send command lines in one piece; the reply codes."""
        return self.feed(b"".join(line + b"\r\n" for line in lines))

    def feed(self, data: bytes) -> list[int]:
        """Send bytes as they are; the reply codes."""
        self.receiver.dataReceived(data)
        return self.codes


class LoopbackServer:
    """A server on a port of 127.0.0.1 that the system chose; close it with C{stop}."""

    def __init__(self, factory: ReceiverFactory) -> None:
        self.factory = factory
        self._port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port: int = self._port.getHost().port

    async def stop(self) -> None:
        """Close the port and end the sessions."""
        await self._port.stopListening()
        await self.factory.stop()


def in_thread(function: Any, *arguments: Any) -> Deferred[Any]:
    """Run a blocking client beside the server."""
    return deferToThread(function, *arguments)


def twistd(*arguments: str) -> list[str]:
    """The command line of C{twistd}."""
    return [str(Path(sys.executable).parent / "twistd"), *arguments]


def environment(**variables: str) -> dict[str, str]:
    """An environment in which programs find the code that is being tested."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_in(logged: str) -> int:
    """The port that the system chose for a server on C{tcp:0}, by what that has logged."""
    found = re.search(r" starting on (\d+)$", logged, re.MULTILINE)
    assert found is not None, logged
    return int(found[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout: float = 20) -> None:
    """Wait until a process listens on a port of 127.0.0.1."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")
