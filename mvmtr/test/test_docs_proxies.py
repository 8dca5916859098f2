"""Tests of the page about proxies: its tables say what the code does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.door import HEADER_TIMEOUT
from mvmtr.protocol.extensions.xclient import ATTRIBUTES
from mvmtr.protocol.proxy import HeaderReader
from mvmtr.test.headers import addresses, binary
from mvmtr.test.pages import read_pages, table
from mvmtr.test.support import ROOT

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"

PAIR = addresses("203.0.113.9", "198.51.100.2")
HEADERS = {
    "command PROXY, TCP over IPv4 or IPv6": binary(PAIR),
    "command PROXY, UNIX socket or unspecified": binary(bytes(216), family=0x31),
    "command LOCAL": binary(PAIR, command=0x20),
}
CLIENTS = {"the proxy": None, "the source address": b"203.0.113.9"}


class TableTests(SynchronousTestCase):
    """Tables and figures."""

    def test_the_attributes_of_xclient_are_those_of_the_code(self):
        rows = table("proxies", "Attributes of XCLIENT")
        self.assertEqual([row[0].encode() for row in rows], list(ATTRIBUTES))

    def test_the_headers_of_the_table_are_read_as_it_says(self):
        for version, header, client in table("proxies", "Headers"):
            sent = HEADERS[header] if version == "2" else header.encode() + b"\r\n"
            reader = HeaderReader()
            self.assertTrue(reader.feed(sent))
            wanted = CLIENTS[client] if client in CLIENTS else client.encode()
            self.assertEqual(reader.origin.source, wanted, header)

    def test_a_header_has_the_time_that_the_page_says(self):
        text = read_pages()[0]["proxies"].astext()
        self.assertIn(f"has {HEADER_TIMEOUT} seconds for a header", text)
