"""Tests of the page about TLS: its tables say what the code does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol import reply
from mvmtr.protocol.reply import reply_of
from mvmtr.protocol.ucspi import Ucspi
from mvmtr.test.pages import table
from mvmtr.test.support import ROOT

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"


class TableTests(SynchronousTestCase):
    """Row by row."""

    def test_the_replies_are_those_of_the_code(self):
        wanted = {
            reply_of(verdict).decode().strip()
            for verdict in (
                reply.START_TLS,
                reply.NO_ARGUMENTS,
                reply.NOT_A_HANDSHAKE,
                reply.UNIMPLEMENTED,
                reply.ENCRYPTED_ALREADY,
                reply.TOO_MANY_HANDSHAKES,
                reply.NO_TLS,
            )
        }
        self.assertEqual({row[0] for row in table("tls", "Replies to STARTTLS")}, wanted)

    def test_the_parent_is_asked_where_the_table_says_so(self):
        descriptors = {b"SSLCTLFD": b"0", b"SSLREADFD": b"0", b"SSLWRITEFD": b"1"}
        asked = {}
        for value in (None, b"-", b"!", b"smtp", b""):
            variables = dict(descriptors)
            if value is not None:
                variables[b"UCSPITLS"] = value
            asked[value] = Ucspi.offered_by(variables, None) is not None
        self.assertEqual(asked, {None: False, b"-": False, b"!": True, b"smtp": True, b"": True})
        self.assertEqual(
            [row[0] for row in table("tls", "UCSPITLS")],
            ["not set, or -", "!", "anything else, or empty"],
        )
