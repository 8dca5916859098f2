"""Tests for addresses in header fields and their parts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.sieve import addresses
from mvmtr.mfl.sieve.addresses import Address

quickly = settings(deadline=None, max_examples=300)


def written(value: bytes) -> list[bytes]:
    """All addresses of a value."""
    return [address.written for address in addresses.parse(value)]


class ParseTests(SynchronousTestCase):
    """From a field's value to addresses."""

    def test_an_address_may_stand_alone_or_in_brackets(self) -> None:
        self.assertEqual(written(b"frop@example.org"), [b"frop@example.org"])
        self.assertEqual(written(b"Frop <frop@example.org>"), [b"frop@example.org"])
        self.assertEqual(written(b"<frop@example.org>"), [b"frop@example.org"])

    def test_names_may_hold_what_looks_like_addresses(self) -> None:
        self.assertEqual(
            written(b'"Me, <x@y>" <frop@example.org>, z@y'), [b"frop@example.org", b"z@y"]
        )
        self.assertEqual(written(b"J. R. Frop (a@b) <frop@example.org>"), [b"frop@example.org"])

    def test_members_of_groups_count_and_groups_do_not(self) -> None:
        self.assertEqual(written(b"us: a@b, C <c@d>; , e@f"), [b"a@b", b"c@d", b"e@f"])
        self.assertEqual(written(b"undisclosed-recipients:;"), [])

    def test_comments_are_left_out_wherever_they_stand(self) -> None:
        self.assertEqual(written(b"(x (y) \\) z) a (b) @ (c) d.e (f)"), [b"a@d.e"])

    def test_space_around_an_address_is_left_out(self) -> None:
        for value in (b" a@b ", b" <a@b> ", b"(x) <a@b> (y)", b"(x)a@b(y)", b'"x" <a@b> , '):
            self.assertEqual(written(value), [b"a@b"], value)

    def test_brackets_in_quotes_and_quotes_in_comments_are_text(self) -> None:
        self.assertEqual(written(b'"odd ( name" <a@b>, c@d'), [b"a@b", b"c@d"])
        self.assertEqual(written(b'(it"s) a@b (or"not), c@d'), [b"a@b", b"c@d"])

    def test_space_around_dots_is_left_out(self) -> None:
        self.assertEqual(written(b"a . b @ c . d"), [b"a.b@c.d"])

    def test_a_route_is_left_out(self) -> None:
        self.assertEqual(written(b"<@one.example,@two.example:a@b>"), [b"a@b"])

    def test_quotes_are_taken_off_the_local_part_and_put_back_where_needed(self) -> None:
        address = addresses.parse(b'"a b"@c, "plain"@c')
        self.assertEqual([each.local for each in address], [b"a b", b"plain"])
        self.assertEqual([each.written for each in address], [b'"a b"@c', b"plain@c"])

    def test_a_literal_is_a_domain(self) -> None:
        self.assertEqual(addresses.parse(b"a@[192.0.2.1]")[0].domain, b"[192.0.2.1]")

    def test_what_is_no_address_has_no_parts(self) -> None:
        for value in (b"frop", b"a@", b"@b", b"<>", b"a..b@c", b"a@b c", b"<a@b", b"<a@b> x"):
            self.assertEqual(addresses.parse(value), [Address(None, None, value)])

    def test_one_that_is_no_address_does_not_spoil_the_next(self) -> None:
        self.assertEqual(written(b"<<a@b, c@d"), [b"<<a@b, c@d"])
        self.assertEqual(written(b"a@b c@d, e@f"), [b"a@b c@d", b"e@f"])

    @quickly
    @given(st.binary(max_size=60))
    def test_any_bytes_can_be_read(self, value: bytes) -> None:
        for address in addresses.parse(value):
            self.assertEqual(address.local is None, address.domain is None)

    @quickly
    @given(st.text(alphabet='ab<>@,:;()"\\[]. ', max_size=40))
    def test_what_was_read_is_read_the_same_again(self, value: str) -> None:
        for address in addresses.parse(value.encode()):
            if address.local is not None:
                self.assertEqual(addresses.parse(address.written), [address])

    def test_hostile_values_come_to_an_end(self) -> None:
        for piece in (b"(", b'"', b"<", b"<>,", b"\\", b"[", b'"\\', b"[\\", b"a@", b":"):
            addresses.parse(piece * 100_000)


class PartTests(SynchronousTestCase):
    """The parts of an address."""

    def test_an_address_has_three_parts(self) -> None:
        address = addresses.parse(b"Frop <frop+x@example.org>")[0]
        self.assertEqual(
            [part(address) for part in addresses.PARTS.values()],
            [b"frop+x@example.org", b"frop+x", b"example.org"],
        )

    def test_user_and_detail_are_cut_at_the_first_separator(self) -> None:
        address = addresses.envelope_address(b"a+b+c@d")
        self.assertEqual(addresses.user(address, b"+"), b"a")
        self.assertEqual(addresses.detail(address, b"+"), b"b+c")

    def test_without_a_separator_all_is_user_and_there_is_no_detail(self) -> None:
        address = addresses.envelope_address(b"a@d")
        self.assertEqual(addresses.user(address, b"+"), b"a")
        self.assertIsNone(addresses.detail(address, b"+"))
        self.assertEqual(addresses.detail(addresses.envelope_address(b"a+@d"), b"+"), b"")

    def test_what_is_no_address_has_neither(self) -> None:
        for split in (addresses.user, addresses.detail):
            self.assertIsNone(split(Address(None, None, b"a+b"), b"+"))

    def test_each_byte_of_the_setting_separates(self) -> None:
        address = addresses.envelope_address(b"a-b+c@d")
        self.assertEqual(addresses.user(address, b"+-"), b"a")
        self.assertEqual(addresses.detail(address, b"+-"), b"b+c")

    def test_every_part_of_the_null_sender_is_empty(self) -> None:
        null = addresses.envelope_address(b"")
        self.assertEqual([part(null) for part in addresses.PARTS.values()], [b"", b"", b""])

    def test_an_envelope_address_is_quoted_only_where_it_was(self) -> None:
        for path, written in (
            (b"a..b@c", b"a..b@c"),
            (b'"a"@c', b"a@c"),
            (b'"a b"@c', b'"a b"@c'),
        ):
            self.assertEqual(addresses.envelope_address(path).written, written)

    def test_the_last_at_of_an_envelope_address_counts(self) -> None:
        address = addresses.envelope_address(b'"a@b"@c')
        self.assertEqual((address.local, address.domain), (b"a@b", b"c"))

    def test_an_envelope_address_may_lack_a_domain(self) -> None:
        address = addresses.envelope_address(b"postmaster")
        self.assertEqual((address.local, address.domain), (b"postmaster", None))
