"""Tests for L{mvmtr.addresses}."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.addresses import UnsafeAddress, domain_of, entries_for, quote, safe
from mvmtr.protocol.path import parse_path

LOCAL = st.one_of(
    st.binary(max_size=12),
    st.lists(st.sampled_from([b"%c" % byte for byte in b'ab.@<>"\\ :,()']), max_size=8).map(
        b"".join
    ),
)
DOMAIN = st.sampled_from([b"@", b"@c.example", b"@[192.0.2.1]", b"@[IPv6:2001:db8::1]"])
ADDRESS = st.one_of(
    st.tuples(LOCAL, DOMAIN).map(b"".join),
    LOCAL.map(lambda local: local.replace(b"@", b"")),
)


def covered(domain, entry):
    """Whether an entry covers a domain, by the words of the documentation."""
    return entry == domain or (entry.startswith(b".") and domain.endswith(entry))


class SafeTests(SynchronousTestCase):
    """What must not reach an envelope does not."""

    def test_nul_cr_and_lf_are_unsafe_wherever_they_are(self):
        for byte in b"\0", b"\r", b"\n":
            for address in byte, byte + b"a@b", b"a" + byte + b"@b", b"a@b" + byte:
                self.assertRaises(UnsafeAddress, safe, address)

    def test_everything_else_stays(self):
        address = bytes(byte for byte in range(256) if byte not in b"\0\r\n")
        self.assertEqual(safe(address), address)
        self.assertEqual(safe(b""), b"")

    def test_a_long_address_makes_a_short_message_of_one_line(self):
        error = self.assertRaises(UnsafeAddress, safe, b"\n" * 60000)
        self.assertLess(len(str(error)), 500)
        self.assertNotIn("\n", str(error))


class DomainOfTests(SynchronousTestCase):
    """The domain follows the last at sign."""

    def test_domains(self):
        for address, domain in {
            b"a@B.Example": b"b.example",
            b"a@b@C": b"c",
            b"a@": b"",
            b"@b": b"b",
            b"a@\xc4": b"\xc4",
            b"a": None,
            b"": None,
        }.items():
            self.assertEqual(domain_of(address), domain)


class EntriesForTests(SynchronousTestCase):
    """Which entries of a list cover a domain."""

    def entries(self, domain):
        return list(entries_for(domain))

    def test_the_domain_stands_before_what_is_left_from_each_dot_on(self):
        expected = [b"a.b.example", b".b.example", b".example"]
        self.assertEqual(self.entries(b"a.b.example"), expected)

    def test_nothing_covers_the_empty_domain(self):
        self.assertEqual(self.entries(b""), [])

    def test_a_trailing_dot_has_an_entry(self):
        self.assertEqual(self.entries(b"a.example."), [b"a.example.", b".example.", b"."])

    def test_a_leading_dot_is_told_once(self):
        self.assertEqual(self.entries(b".a.b"), [b".a.b", b".b"])

    def test_literals_have_entries(self):
        self.assertEqual(self.entries(b"[1.2.3.4]")[-1], b".4]")

    @settings(deadline=None, max_examples=300)
    @given(
        st.text("ab.", min_size=1, max_size=8).map(str.encode),
        st.text("ab.", min_size=1, max_size=4).map(str.encode),
    )
    def test_an_entry_covers_itself_and_with_a_dot_in_front_what_ends_so(self, domain, entry):
        self.assertEqual(entry in self.entries(domain), covered(domain, entry))


class QuoteTests(SynchronousTestCase):
    """Quoted addresses are read as what they were."""

    def test_ordinary_addresses_are_written_as_they_are(self):
        for address in b"", b"a", b"a@b.example", b"a.b-c+d=e!f/g@[192.0.2.1]", b"a@":
            self.assertEqual(quote(address), address)

    def test_other_local_parts_are_quoted(self):
        for address, quoted in {
            b"a b@c": b'"a b"@c',
            b'a"b\\c@d': b'"a\\"b\\\\c"@d',
            b".a@b": b'".a"@b',
            b"a..b@c": b'"a..b"@c',
            b"a.@b": b'"a."@b',
            b"a@b@c": b'"a@b"@c',
            b"a>b": b'"a>b"',
            b"\xe9@b": b'"\xe9"@b',
            b"a\n@b": b'"a\n"@b',
        }.items():
            self.assertEqual(quote(address), quoted)

    @settings(deadline=None, max_examples=500)
    @given(ADDRESS)
    @example(b"@c.example")
    @example(b"@r.example:a@c.example")
    def test_a_quoted_address_in_brackets_is_parsed_as_the_address(self, address):
        argument = b"TO:<" + quote(address) + b"> X=1"
        self.assertEqual(parse_path(argument, b"TO:"), (address, [b"X=1"]))
