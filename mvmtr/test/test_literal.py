"""Tests for L{mvmtr.protocol.literal}."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.literal import literal_of, localize, own_addresses

OWN = {"127.0.0.1", "192.0.2.1", "2001:db8::1"}

NOT_LITERALS = [
    b"a@[127.0.0]",
    b"a@[127.0.0.1",
    b"a@[127.0.0.1]x",
    b"a@[127.0.0.1]\n",
    b"a@[127.0.0.1.]",
    b"a@[127.0.0.1.5]",
    b"a@[]",
    b"a@[ 127.0.0.1]",
    b"a@[-127.0.0.1]",
    b"a@[0x7f.0.0.1]",
    b"a@127.0.0.1",
    b"[127.0.0.1]",
    b"a@[127.0.0.1]@b.example",
    b"a@[::1]",
    b"a@[IPv6:]",
    b"a@[IPv6:::1%lo]",
    b"a@[IPv6:1:2]",
    b"a@[IPv6:127.0.0.1]",
    b"",
]


class LiteralOfTests(SynchronousTestCase):
    """The address that a literal stands for."""

    @settings(deadline=None, max_examples=200)
    @given(st.ip_addresses(v=4), st.lists(st.integers(0, 17), min_size=4, max_size=4))
    def test_leading_zeros_make_no_other_address(self, address, zeros):
        numbers = zip(zeros, str(address).split("."), strict=True)
        written = ".".join("0" * count + number for count, number in numbers)
        self.assertEqual(literal_of(b"a@[%s]" % written.encode()), str(address))

    @settings(deadline=None, max_examples=200)
    @given(st.ip_addresses(v=6), st.booleans(), st.booleans())
    def test_ipv6_is_understood_in_every_form(self, address, exploded, capitals):
        written = address.exploded if exploded else address.compressed
        written = "IPv6:" + written
        literal = f"a@[{written.upper() if capitals else written}]".encode()
        self.assertEqual(literal_of(literal), str(address.ipv4_mapped or address))

    def test_ipv6_that_ends_in_dotted_numbers_is_understood(self):
        self.assertEqual(literal_of(b"a@[IPv6:64:ff9b::192.0.2.1]"), "64:ff9b::c000:201")

    def test_ipv4_within_ipv6_is_ipv4(self):
        self.assertEqual(literal_of(b"a@[ipv6:::ffff:192.0.2.1]"), "192.0.2.1")

    def test_numbers_over_255_are_no_address(self):
        for literal in b"256.0.0.1", b"383.256.512.257", b"1.2.3.%s" % (b"9" * 20):
            self.assertIsNone(literal_of(b"a@[" + literal + b"]"))

    def test_what_is_not_well_formed_is_no_literal(self):
        for address in NOT_LITERALS:
            self.assertIsNone(literal_of(address), address)

    def test_the_last_at_sign_counts(self):
        self.assertEqual(literal_of(b"a@b.example@[192.0.2.1]"), "192.0.2.1")
        self.assertEqual(literal_of(b"@[192.0.2.1]"), "192.0.2.1")

    def test_a_long_address_of_beginnings_is_no_literal(self):
        self.assertIsNone(literal_of(b"@[1.2.3." * 8000))


class LocalizeTests(SynchronousTestCase):
    """A literal of this machine becomes a name."""

    def test_own_literals_are_replaced(self):
        for literal in b"192.0.2.1", b"0192.00.02.1", b"IPv6:2001:DB8:0::1":
            found = localize(b"a@b@[%s]" % literal, b"lip.example", OWN)
            self.assertEqual(found, b"a@b@lip.example")

    def test_an_empty_name_leaves_an_empty_domain(self):
        self.assertEqual(localize(b"a@[192.0.2.1]", b"", OWN), b"a@")

    def test_literals_of_others_stay(self):
        for address in b"a@[192.0.2.2]", b"a@[0.0.0.0]", b"a@[IPv6:2001:db8::2]":
            self.assertEqual(localize(address, b"lip.example", OWN), address)

    def test_what_is_no_literal_stays(self):
        for address in [*NOT_LITERALS, b"a@[383.256.512.257]"]:
            self.assertEqual(localize(address, b"lip.example", OWN), address)

    def test_without_a_list_the_system_is_asked(self):
        self.assertEqual(localize(b"a@[127.0.0.1]", b"lip.example"), b"a@lip.example")
        self.assertEqual(localize(b"a@[203.0.113.254]", b"x"), b"a@[203.0.113.254]")


class OwnAddressesTests(SynchronousTestCase):
    """The addresses of this machine."""

    def test_loopback_is_among_them(self):
        self.assertIn("127.0.0.1", own_addresses())

    def test_they_are_written_as_literals_are_read(self):
        for address in own_addresses():
            parsed = ip_address(address)
            tag = {IPv4Address: b"", IPv6Address: b"IPv6:"}[type(parsed)]
            self.assertEqual(literal_of(b"a@[%s%s]" % (tag, address.encode())), address)
