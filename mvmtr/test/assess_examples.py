"""What is done with the examples of the pages about mvmcas."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from mvmtr.assess import tap
from mvmtr.test.documentation import PATIENCE, Examples
from mvmtr.test.pages import Example
from mvmtr.test.redis_server import RedisServer
from mvmtr.test.support import folder, free_port, wait_for_port

PORT = "8891"
"""The port of mvmcas on the pages; another one takes its place."""


class AssessExamples(Examples):
    """Examples with a mvmcas, whose files are not where the pages say."""

    mvmcas: subprocess.Popen[bytes] | None = None

    def __init__(self, test: Any) -> None:
        self.assess_port = free_port()
        super().__init__(test)
        programs = self.home / "programs"
        programs.mkdir()
        # The program of the page, with the server of this test.
        program = programs / "mvmcas-ctl"
        command = shlex.join([sys.executable, "-m", "mvmtr.assess.ctl"])
        program.write_text(f'#!/bin/sh\nexec {command} --server=unix:{self.home}/admin "$@"\n')
        program.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"
        test.addCleanup(self._stop_mvmcas)

    def _here(self, text: str) -> str:
        places = {
            "/run/mvmcas-admin": f"{self.home}/admin",
            "/var/lib/": f"{self.home}/",
            "/var/qmail/control": f"{self.home}/control",
            PORT: str(self.assess_port),
        }
        for place, ours in places.items():
            text = text.replace(place, ours)
        return super()._here(text)

    def _expect(self, wanted: str, got: str, what: str) -> None:
        super()._expect(self._here(wanted), got, what)

    def _stop_mvmcas(self) -> None:
        if self.mvmcas is not None:
            self.mvmcas.terminate()
            self.mvmcas.wait()

    def is_mvmcas(self, example: Example) -> None:
        """A mvmcas that goes on running; it takes the place of the one before."""
        self._stop_mvmcas()
        ((command, _output),) = example.commands
        words = shlex.split(self._here(command))
        words[1:2] = [word for word in words[1:2] if word != "-n"] + ["--nodaemon", "--pidfile="]
        if not any(word.startswith("--listen") for word in words):
            words.append(f"--listen=tcp:{self.assess_port}:interface=127.0.0.1")
        self.log = self.home / "mvmcas.log"
        with self.log.open("wb") as log:
            self.mvmcas = subprocess.Popen(
                words, cwd=self.home, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for_port(self.assess_port, self.mvmcas)

    def is_redis(self, example: Example) -> None:
        """The same, with a Redis of the port on the page."""
        server = RedisServer(folder(self.test))
        self.test.addCleanup(server.end)
        text = example.text.replace("127.0.0.1:6379", server.place)
        self.is_mvmcas(Example(example.how, example.words, text, None))

    def is_parsed(self, example: Example) -> None:
        """Command lines of mvmcas that are only looked at."""
        for command, _output in example.commands:
            words = shlex.split(command)
            options = tap.Options()
            options.parseOptions(words[words.index("mvmcas") + 1 :])
            options.settings()

    def is_asked(self, example: Example) -> None:
        """A request and its answer."""
        self._ask(example, socket.AF_INET, ("127.0.0.1", self.assess_port))

    def is_commanded(self, example: Example) -> None:
        """The same, on the socket for the postmaster."""
        self._ask(example, socket.AF_UNIX, str(Path(self.home, "admin")))

    def _ask(self, example: Example, family: int, address: Any) -> None:
        request, wanted = example.text.split("\n\n")
        with socket.socket(family) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(address)
            peer.sendall(request.encode() + b"\n\n")
            peer.shutdown(socket.SHUT_WR)
            got = peer.makefile("rb").read().decode()
        self._expect(wanted, got.removesuffix("\n\n").strip("\n"), request)
