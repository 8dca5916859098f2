"""Tests for L{mvmtr.protocol.unread}."""

from __future__ import annotations

import os
import socket

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from mvmtr.protocol.unread import something_to_read


class Pipes:
    """Like a transport over pipes."""

    def __init__(self, descriptor):
        self._reader = os.fdopen(descriptor, "rb", 0)


class UnreadTests(SynchronousTestCase):
    """Bytes that wait."""

    def test_a_socket(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.assertIs(something_to_read(ours), False)
            theirs.sendall(b"x")
            self.assertIs(something_to_read(ours), True)
            self.assertEqual(ours.recv(10), b"x")
            self.assertIs(something_to_read(ours), False)

    def test_the_end_is_nothing_to_read(self):
        ours, theirs = socket.socketpair()
        with ours:
            theirs.close()
            self.assertIs(something_to_read(ours), False)

    def test_a_pipe(self):
        reading, writing = os.pipe()
        pipes = Pipes(reading)
        with pipes._reader:
            self.assertIs(something_to_read(pipes), False)
            os.write(writing, b"x")
            os.close(writing)
            self.assertIs(something_to_read(pipes), True)

    def test_nobody_can_tell_of_tls(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"x")
            ours = type("Tls", (), {"fileno": ours.fileno})()
            directlyProvides(ours, ISSLTransport)
            self.assertIsNone(something_to_read(ours))

    def test_nobody_can_tell_of_what_has_no_descriptor(self):
        self.assertIsNone(something_to_read(StringTransport()))
        self.assertIsNone(something_to_read(type("Gone", (), {"_reader": None})()))

    def test_nobody_can_tell_of_what_is_closed(self):
        ours, theirs = socket.socketpair()
        theirs.close()
        ours.close()
        self.assertIsNone(something_to_read(ours))
