"""Tests for L{mvmtr.protocol.proxy}: the headers of the PROXY protocol."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols.haproxy import _v1parser, _v2parser
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.proxy import LINE_MAX, BadHeader, HeaderReader, Origin
from mvmtr.test.headers import SIGNATURE, V1, V2, addresses, binary, extension, line

CLIENT = Origin(b"203.0.113.9", b"198.51.100.2")
CLIENT6 = Origin(b"2001:db8::9", b"2001:db8::2")
NOBODY = Origin()
UNIX = (b"/run/client" + bytes(97)) * 2


def read(data, pieces=None):
    """What a reader makes of a header: origin and rest; C{None} while it is not complete."""
    reader = HeaderReader()
    for piece in pieces or [data]:
        if reader.feed(piece):
            return reader.origin, reader.rest
    return None


class LineTests(SynchronousTestCase):
    """Version 1."""

    def test_it_tells_both_ends(self):
        self.assertEqual(read(V1), (CLIENT, b""))
        six = line("2001:db8::9", "2001:db8::2", "TCP6")
        self.assertEqual(read(six), (CLIENT6, b""))

    def test_addresses_have_the_form_that_sockets_have(self):
        six = line("2001:DB8:0:0::9", "2001:0db8::0002", "TCP6")
        self.assertEqual(read(six), (CLIENT6, b""))
        mapped = line("::ffff:203.0.113.9", "::FFFF:c633:6402", "TCP6")
        self.assertEqual(read(mapped), (CLIENT, b""))

    def test_what_follows_is_left_alone(self):
        self.assertEqual(read(V1 + b"EHLO x\r\n" + V1), (CLIENT, b"EHLO x\r\n" + V1))

    def test_an_unknown_client_is_nobody_whatever_else_the_line_says(self):
        for header in (
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN 203.0.113.9 198.51.100.2 1 2\r\n",
            b"PROXY UNKNOWN x\0\xff\r\n",
            b"PROXY UNKNOWN " + b"x" * (LINE_MAX - 16) + b"\r\n",
        ):
            self.assertEqual(read(header), (NOBODY, b""), header)

    def test_ports_are_those_that_exist(self):
        for ports in ("0 0", "65535 65535", "1 25"):
            self.assertEqual(read(line("203.0.113.9", "198.51.100.2", ports=ports)), (CLIENT, b""))

    def test_all_else_is_no_header(self):
        for header in (
            V1.lower(),
            V1.replace(b"\r\n", b"\n"),
            V1.replace(b"\r", b"\r\r"),
            V1.replace(b" ", b"  "),
            V1.replace(b" ", b"\t"),
            V1.replace(b"TCP4", b"TCP5"),
            V1.replace(b"TCP4", b"TCP6"),
            V1.replace(b"TCP4", b"UDP4"),
            V1.replace(b"TCP4", b"TCP4\0"),
            b" " + V1,
            b"PROXY\r\n",
            b"PROXY \r\n",
            b"PROXY TCP4\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY UNKNOWN\rx\r\n",
            b"PROXY UNKNOWN\n",
            line("203.0.113.9", "198.51.100.2", ports="1"),
            line("203.0.113.9", "198.51.100.2", ports="1 2 3"),
            line("203.0.113.9", "198.51.100.2", ports="01 2"),
            line("203.0.113.9", "198.51.100.2", ports="1 65536"),
            line("203.0.113.9", "198.51.100.2", ports="-1 2"),
            line("203.0.113.9", "198.51.100.2", ports="1 123456"),
            line("203.0.113", "198.51.100.2"),
            line("203.0.113.09", "198.51.100.2"),
            line("203.0.113.256", "198.51.100.2"),
            line("2001:db8::9", "198.51.100.2", "TCP6"),
            line("fe80::1%lo", "fe80::2", "TCP6"),
            line("client.example", "198.51.100.2"),
            line("", "198.51.100.2"),
            b"EHLO client.example\r\n",
            b"\x16\x03\x01\x02\x00\x01",
        ):
            self.assertRaises(BadHeader, read, header)

    def test_a_line_without_end_is_refused_as_soon_as_it_is_too_long(self):
        begun = b"PROXY UNKNOWN "
        longest = begun.ljust(LINE_MAX - 1, b"x")
        self.assertIsNone(read(longest))
        self.assertRaises(BadHeader, read, longest + b"x")
        self.assertRaises(BadHeader, read, longest + b"\r\n")


class BinaryTests(SynchronousTestCase):
    """Version 2."""

    def test_it_tells_both_ends(self):
        self.assertEqual(read(V2), (CLIENT, b""))
        six = binary(addresses("2001:db8::9", "2001:db8::2"), family=0x21)
        self.assertEqual(read(six), (CLIENT6, b""))

    def test_an_ipv4_client_of_an_ipv6_proxy_has_its_ipv4_address(self):
        mapped = binary(addresses("::ffff:203.0.113.9", "::ffff:198.51.100.2"), family=0x21)
        self.assertEqual(read(mapped), (CLIENT, b""))

    def test_what_follows_is_left_alone(self):
        self.assertEqual(read(V2 + b"\x16\x03\x01" + V2), (CLIENT, b"\x16\x03\x01" + V2))

    def test_extensions_are_skipped(self):
        for extensions in (
            extension(0x20, b"\x01\0\0\0\0" + extension(0x21, b"TLSv1.3")),
            extension(0x05, b"unique") + extension(0x04, bytes(7)),
            b"no extension at all",
            bytes(65535 - 12),
        ):
            header = binary(addresses("203.0.113.9", "198.51.100.2") + extensions)
            self.assertEqual(read(header + b"EHLO x"), (CLIENT, b"EHLO x"))

    def test_a_proxy_that_speaks_for_itself_names_nobody(self):
        for family in (0x00, 0x11, 0x21, 0x31, 0x12, 0xFF):
            for payload in (b"", addresses("203.0.113.9", "198.51.100.2"), bytes(300)):
                header = binary(payload, command=0x20, family=family)
                self.assertEqual(read(header + b"x"), (NOBODY, b"x"))

    def test_who_has_no_ip_address_is_nobody(self):
        self.assertEqual(read(binary(UNIX, family=0x31) + b"x"), (NOBODY, b"x"))
        self.assertEqual(read(binary(b"", family=0x00) + b"x"), (NOBODY, b"x"))
        self.assertEqual(read(binary(b"12345", family=0x00) + b"x"), (NOBODY, b"x"))

    def test_all_else_is_no_header(self):
        pair = addresses("203.0.113.9", "198.51.100.2")
        for header in (
            binary(pair, command=0x22),
            binary(pair, command=0x2F),
            binary(pair, command=0x11),
            binary(pair, command=0x31),
            binary(pair, command=0x01),
            binary(pair, family=0x10),
            binary(pair, family=0x12),
            binary(pair, family=0x22),
            binary(pair, family=0x32),
            binary(pair, family=0x01),
            binary(pair, family=0x41),
            binary(pair[:-1]),
            binary(b""),
            binary(pair, family=0x21),
            binary(UNIX[:-1], family=0x31),
            SIGNATURE[:-1] + b"\r" + V2[12:],
        ):
            self.assertRaises(BadHeader, read, header)


families = st.sampled_from(("TCP4", "TCP6"))
ports = st.integers(0, 65535)


@st.composite
def headers(draw):
    """Good headers of both versions."""
    ip = st.ip_addresses(v=4 if draw(families) == "TCP4" else 6)
    source, destination = (str(draw(ip)) for _ in range(2))
    six = ":" in source
    if draw(st.booleans()):
        numbers = f"{draw(ports)} {draw(ports)}"
        return line(source, destination, "TCP6" if six else "TCP4", numbers)
    payload = addresses(source, destination, draw(ports)) + draw(st.binary(max_size=300))
    return binary(payload, family=0x21 if six else 0x11)


@st.composite
def cut(draw, data):
    """Data in pieces."""
    ends = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


class PropertyTests(SynchronousTestCase):
    """For headers of all kinds, however they are cut, and for what is none."""

    @given(st.data())
    @settings(deadline=None, max_examples=200)
    def test_a_header_means_the_same_however_it_is_cut(self, data):
        header = data.draw(headers())
        rest = data.draw(st.binary(max_size=20))
        reader = HeaderReader()
        pieces = data.draw(cut(header + rest))
        while not reader.feed(pieces.pop(0)):
            pass
        self.assertEqual(reader.rest + b"".join(pieces), rest)
        self.assertEqual((reader.origin, b""), read(header))

    @given(headers())
    @settings(deadline=None, max_examples=200)
    def test_every_beginning_is_a_beginning_and_nothing_more(self, header):
        reader = HeaderReader()
        for place in range(len(header) - 1):
            self.assertFalse(reader.feed(header[place : place + 1]))
        self.assertTrue(reader.feed(header[-1:]))
        self.assertEqual(reader.rest, b"")

    @given(headers())
    @settings(deadline=None, max_examples=200)
    def test_the_parsers_of_twisted_read_the_same_addresses(self, header):
        if header.startswith(b"PROXY"):
            told = _v1parser.V1Parser.parse(header.removesuffix(b"\r\n"))
        else:
            told = _v2parser.V2Parser.parse(header)
        source, destination = told.source.host, told.destination.host
        family = "TCP6" if ":" in source else "TCP4"
        self.assertEqual(read(header), read(line(source, destination, family)))

    @given(
        st.sampled_from((b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21")),
        st.lists(st.binary(max_size=300), max_size=6),
    )
    @settings(deadline=None, max_examples=400)
    def test_nothing_else_than_a_refusal_comes_of_noise_and_little_is_kept(self, start, pieces):
        reader = HeaderReader()
        for piece in [start, *pieces]:
            try:
                if reader.feed(piece):
                    return
            except BadHeader:
                return
            self.assertLessEqual(len(reader._pending), 16 + 216)
            self.assertIsNone(reader.origin)

    def test_an_unfinished_header_with_extensions_takes_no_memory(self):
        reader = HeaderReader()
        reader.feed(binary(addresses("203.0.113.9", "198.51.100.2"), size=65535))
        for _ in range(65):
            self.assertFalse(reader.feed(bytes(1000)))
            self.assertEqual(reader._pending, b"")
