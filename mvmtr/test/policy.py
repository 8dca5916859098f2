"""What tests of policy servers share: questions, and a real mvmcas."""

from __future__ import annotations

import socket
import subprocess
import time

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.wire import AttributeReader, written
from mvmtr.test.support import environment, folder, free_port, twistd, wait_for_port

PATIENCE = 60
"""Seconds to wait for what takes no time on a machine that is not busy."""


def request(**more):
    """A question, as Postfix asks it at RCPT."""
    attributes = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "client_address": "192.0.2.1",
        "sender": "s@client.example",
        "recipient": "r@ours.example",
    }
    attributes.update(more)
    return written({name.encode(): value.encode() for name, value in attributes.items()})


def ask(address, *requests):
    """Ask a server at C{(host, port)} or a path; the replies, by name."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        reader = AttributeReader()
        replies = []
        for one in requests:
            client.sendall(one)
            found = []
            while not found:
                data = client.recv(65536)
                if not data:
                    return replies
                found = reader.feed(data)
            replies += found
        return replies


class PolicyTestCase(SynchronousTestCase):
    """
    Starts mvmcas.

    @ivar home: a folder for all that it needs.
    @ivar log: what the servers have logged.
    @ivar address: where the last one that was started listens.
    """

    def setUp(self):
        self.home = folder(self)
        self.log = self.home / "log"

    def start(self, *arguments, **variables):
        """Start it on a port of 127.0.0.1; it listens when this returns."""
        port = free_port()
        self.address = ("127.0.0.1", port)
        listen = f"--listen=tcp:{port}:interface=127.0.0.1"
        process = self.start_program(
            twistd("-n", "--pidfile=", "mvmcas", listen, *arguments), **variables
        )
        wait_for_port(port, process, PATIENCE)
        return process

    def start_program(self, command, **variables):
        """Start a program that logs to our log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.home, env=environment(**variables)
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def ask(self, *requests):
        return ask(self.address, *requests)

    def action(self, **more):
        """The action that a question is answered with."""
        (reply,) = self.ask(request(**more))
        return reply[b"action"]

    def wait_for_log(self, text):
        self.wait_until(lambda: text in self.log.read_text(), f"{text!r} in the log")

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                self.fail(f"waited for {what}; the log: {self.log.read_text()}")
            time.sleep(0.05)
