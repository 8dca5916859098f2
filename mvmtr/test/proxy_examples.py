"""What is done with the examples of the page about proxies."""

from __future__ import annotations

import shlex
import socket
import subprocess
from dataclasses import replace
from itertools import islice
from typing import Any

from mvmtr.test.documentation import PATIENCE, Examples
from mvmtr.test.pages import Example
from mvmtr.test.support import free_port, wait_for_port


class ProxyExamples(Examples):
    """Examples with an HAProxy, whose port is 2526 on the page."""

    def __init__(self, test: Any) -> None:
        self.front = free_port()
        super().__init__(test)

    def _here(self, text: str) -> str:
        return super()._here(text).replace("2526", str(self.front))

    def is_file(self, example: Example) -> None:
        """A file, with the ports that there are."""
        super().is_file(replace(example, text=self._here(example.text)))

    def is_haproxy(self, example: Example) -> None:
        """HAProxy, which goes on running."""
        ((command, _output),) = example.commands
        with (self.home / "haproxy.log").open("wb") as log:
            process = subprocess.Popen(
                shlex.split(command),
                cwd=self.home,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.test.addCleanup(process.wait)
        self.test.addCleanup(process.terminate)
        wait_for_port(self.front, process)

    def is_direct(self, example: Example) -> None:
        """A conversation that the client begins."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as peer:
            said = peer.makefile("rb")
            self._play(example, peer.sendall, lambda count: b"".join(islice(said, count)))

    def is_behind(self, example: Example) -> None:
        """A conversation through HAProxy."""
        own, self.port = self.port, self.front
        try:
            self.is_talk(example)
        finally:
            self.port = own
