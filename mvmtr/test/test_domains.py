"""Tests for L{mvmtr.domains}."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.domains import NAME_MAX, address_of, dns_name, is_full, is_literal, listed_name

LABELS = st.text("abcXYZ019_-", min_size=1, max_size=63)


class NameTests(SynchronousTestCase):
    """Names of domains."""

    def test_full_names_have_two_labels_or_more(self):
        for name in (b"a.b", b"Mail.Example.ORG", b"x_1.example.org", b"example.org.", b"1.2.3.a"):
            self.assertTrue(is_full(name), name)

    def test_what_is_no_full_name(self):
        for name in (
            b"", b".", b"localhost", b"org.", b"a..b", b".a.b", b"a.b..", b"192.0.2.1", b"a b.c",
            b"a/b.c", b"[192.0.2.1]", b"\xff.example", b"a." + b"b" * 64, b"x." * 127 + b"org",
            b"a.b\0", b"a.b\n",
        ):  # fmt: skip
            self.assertFalse(is_full(name), name)

    def test_what_is_not_ascii_is_asked_about_as_a_labels(self):
        self.assertEqual(dns_name("B\xfccher.Example".encode()), b"xn--bcher-kva.example")
        self.assertEqual(dns_name("fa\xdf.example".encode()), b"xn--fa-hia.example")
        self.assertTrue(is_full("\u4f8b.\u6d4b\u8bd5".encode()))

    def test_names_that_can_not_be_made_a_labels_are_none(self):
        for name in ("\u2028.example", "a.\xad", "-\xfc-.example", "\xfc" * 70 + ".example"):
            self.assertIsNone(dns_name(name.encode()), name)

    @examples(deadline=None, max_examples=300)
    @given(st.binary(max_size=300))
    def test_every_name_that_is_found_can_be_put_into_a_question(self, name):
        found = dns_name(name)
        if found is not None:
            self.check_question(found)

    @examples(deadline=None, max_examples=100)
    @given(st.lists(LABELS, min_size=1, max_size=6))
    def test_names_are_kept_but_for_their_case(self, labels):
        name = ".".join(labels).encode()
        self.assertEqual(dns_name(name), name.lower() if len(name) <= NAME_MAX else None)
        if len(name) <= NAME_MAX:
            self.check_question(name.lower())

    def check_question(self, name):
        message = dns.Message()
        message.addQuery(name)
        read = dns.Message()
        read.fromStr(message.toStr())
        self.assertEqual(read.queries[0].name.name, name)


class AddressTests(SynchronousTestCase):
    """Addresses of clients, and those in brackets."""

    def test_literals(self):
        for domain in (b"[192.0.2.1]", b"[IPv6:2001:db8::1]", b"[ipv6:::ffff:192.0.2.1]"):
            self.assertTrue(is_literal(domain), domain)

    def test_what_is_no_literal(self):
        for domain in (
            b"192.0.2.1", b"[192.0.2.256]", b"[192.0.2]", b"[]", b"[x]", b"[2001:db8::1]",
            b"[IPv6:192.0.2.1.5]", b"[192.0.2.1]x", b"[192.0.2.1]\n",
        ):  # fmt: skip
            self.assertFalse(is_literal(domain), domain)

    def test_the_name_on_a_list_is_the_address_backwards(self):
        self.assertEqual(listed_name(ip_address("192.0.2.99")), "99.2.0.192")
        # The example of RFC 5782, section 2.4.
        self.assertEqual(
            listed_name(ip_address("2001:db8:1:2:3:4:567:89ab")),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2",
        )

    def test_the_address_of_a_client(self):
        self.assertEqual(address_of(b"192.0.2.1"), ip_address("192.0.2.1"))
        self.assertEqual(address_of(b"::ffff:192.0.2.1"), ip_address("192.0.2.1"))
        self.assertEqual(address_of(b"fe80::1%eth0"), ip_address("fe80::1"))
        for text in (b"", b"unknown", b"192.0.2", b"\xff", b"192.0.2.1 "):
            self.assertIsNone(address_of(text), text)
