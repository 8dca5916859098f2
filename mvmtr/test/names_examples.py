"""What is done with examples about the DNS and about clients that speak too early."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.names_server import NamesServer
from mvmtr.test.pages import Example

PORT = "5353"
"""The port of the DNS server in the examples; another one takes its place."""


class NamesExamples:
    """Methods for L{Examples<mvmtr.test.documentation.Examples>}."""

    test: SynchronousTestCase
    port: int
    names: NamesServer | None = None

    def is_zone(self, example: Example) -> None:
        """What the DNS has, from here on."""
        if self.names is None:
            self.names = NamesServer()
            self.test.addCleanup(self.names.stop)
        for line in example.text.splitlines():
            self.names.add(line)

    def with_names(self, text: str) -> str:
        """A command with the port of the DNS server that really runs."""
        return text if self.names is None else text.replace(PORT, str(self.names.port))

    def is_early(self, example: Example) -> None:
        """A client that sends its first line at once, and what it hears."""
        first, wanted = example.text.splitlines()
        with socket.create_connection(("127.0.0.1", self.port), 20) as peer:
            peer.sendall(first.removeprefix("C: ").encode() + b"\r\n")
            said = peer.makefile("rb").readline().decode().rstrip()
        self.test.assertEqual(f"S: {said}", wanted)
