"""A real redis-server for tests, in a folder of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

from mvmtr.test.support import free_port

PATIENCE = 20
"""Seconds that it may take to start."""


class RedisServer:
    """
    A server on a port of 127.0.0.1 that keeps what it is told (C{appendonly}).

    @ivar place: as a store wants it.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.place = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._options = options
        self.start()

    def start(self) -> None:
        """Start it, with what it has kept, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *("redis-server", "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", str(self._folder), "--appendonly", "yes", "--save", ""),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
            # So that a limit on the size of files gives it an error and not a signal.
            restore_signals=False,
        )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"redis-server does not run: {self.process.returncode}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def end(self, how: int = signal.SIGKILL) -> None:
        """End it, by default as a power cut would."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(PATIENCE)
