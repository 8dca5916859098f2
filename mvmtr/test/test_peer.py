"""Tests for L{mvmtr.protocol.peer}: who is at the other end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.peer import is_within
from mvmtr.values import networks


class NetworkTests(SynchronousTestCase):
    """Whether an address lies in a network."""

    def assert_within(self, text, *addresses):
        for address in addresses:
            self.assertTrue(is_within(address, networks(text)), address)

    def assert_without(self, text, *addresses):
        for address in addresses:
            self.assertFalse(is_within(address, networks(text)), address)

    def test_an_address_lies_in_its_networks_only(self):
        text = "192.0.2.0/24, 2001:db8::/32 198.51.100.7"
        self.assert_within(text, b"192.0.2.255", b"2001:db8::1", b"198.51.100.7")
        self.assert_without(text, b"192.0.3.0", b"2001:db9::", b"198.51.100.8", b"c000:200::")

    def test_an_ipv4_address_in_ipv6_is_an_ipv4_address(self):
        self.assert_within("192.0.2.0/24", b"::ffff:192.0.2.1", b"::ffff:c000:201")
        self.assert_without("::/0", b"::ffff:192.0.2.1")

    def test_the_zone_of_an_address_does_not_matter(self):
        self.assert_within("fe80::/10", b"fe80::1%eth0", b"fe80::1")

    def test_what_is_no_address_lies_nowhere(self):
        everything = "0.0.0.0/0 ::/0"
        self.assert_without(everything, None, b"", b"unknown", b"192.0.2", b"\xff", b"192.0.2.1/8")

    def test_nothing_lies_in_no_network(self):
        self.assert_without("", b"127.0.0.1", b"::1", None)

    @given(st.binary(max_size=20))
    @settings(deadline=None, max_examples=200)
    def test_any_bytes_are_looked_at(self, address):
        self.assertIn(is_within(address, networks("10.0.0.0/8")), (True, False))
