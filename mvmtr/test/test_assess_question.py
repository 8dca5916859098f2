"""What is asked and told about a client, and the keys that it is remembered by."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.question import (
    COUNT_MAX,
    Event,
    State,
    address_of,
    client_of,
    feedback_of,
    network_of,
    question_of,
)
from mvmtr.assess.records import KEY_MAX, Record, key_of

# As Postfix 3.7 asks for a recipient (SMTPD_POLICY_README), but for the TLS attributes.
POSTFIX = {
    b"request": b"smtpd_access_policy",
    b"protocol_state": b"RCPT",
    b"protocol_name": b"ESMTP",
    b"client_address": b"192.0.2.7",
    b"client_name": b"Mail.Client.Example",
    b"reverse_client_name": b"mail.client.example",
    b"helo_name": b"MAIL.client.example",
    b"sender": b"Joe@Sender.Example",
    b"recipient": b"Ann@example.org",
    b"recipient_count": b"0",
    b"queue_id": b"",
    b"instance": b"123.456.7",
    b"size": b"12345",
    b"sasl_method": b"",
    b"sasl_username": b"",
}


class QuestionTests(SynchronousTestCase):
    def test_what_postfix_asks_is_understood(self) -> None:
        question = question_of(POSTFIX)
        self.assertIs(question.state, State.RCPT)
        self.assertEqual(question.client, b"192.0.2.7")
        self.assertEqual(question.client_name, b"mail.client.example")
        self.assertEqual(question.helo, b"mail.client.example")
        self.assertEqual(question.sender, b"Joe@Sender.Example")
        self.assertEqual(question.sender_domain, b"sender.example")
        self.assertEqual(question.recipient, b"Ann@example.org")
        self.assertEqual(question.size, 12345)
        self.assertFalse(question.relay)
        self.assertFalse(question.extended)

    def test_the_states_of_postfix_are_known(self) -> None:
        states = {
            b"CONNECT": State.CONNECT,
            b"EHLO": State.HELO,
            b"HELO": State.HELO,
            b"MAIL": State.MAIL,
            b"RCPT": State.RCPT,
            b"DATA": State.DATA,
            b"END-OF-MESSAGE": State.MESSAGE,
            b"VRFY": State.HELO,
            b"ETRN": State.HELO,
            b"": State.RCPT,
        }
        for name, state in states.items():
            self.assertIs(question_of({b"protocol_state": name}).state, state)

    def test_another_state_is_an_error(self) -> None:
        for state in (b"BDAT", b"\xff", b"RCPT "):
            with self.assertRaises(ValueError):
                question_of({b"protocol_state": state})

    def test_unknown_is_nothing(self) -> None:
        question = question_of({b"client_address": b"unknown", b"client_name": b"unknown"})
        self.assertEqual((question.client, question.client_name), (b"", b""))

    def test_an_authenticated_client_relays(self) -> None:
        self.assertTrue(question_of({b"sasl_username": b"joe"}).relay)

    def test_a_client_with_relay_permission_relays(self) -> None:
        self.assertTrue(question_of({b"mvmcas_relay": b"yes"}).relay)
        self.assertFalse(question_of({b"mvmcas_relay": b"no"}).relay)

    def test_who_tells_a_version_understands_more(self) -> None:
        self.assertTrue(question_of({b"mvmcas_version": b"1"}).extended)

    def test_a_question_may_be_for_show(self) -> None:
        self.assertTrue(question_of({b"mvmcas_dry": b"yes"}).dry)
        self.assertFalse(question_of({b"mvmcas_dry": b"no"}).dry)
        self.assertFalse(question_of({}).dry)

    def test_an_address_has_one_form(self) -> None:
        for written in (b"2001:DB8:0:0::1", b"2001:db8::1", b"2001:0db8::0001"):
            self.assertEqual(question_of({b"client_address": written}).client, b"2001:db8::1")
        self.assertEqual(question_of({b"client_address": b"::ffff:192.0.2.7"}).client, b"192.0.2.7")

    def test_numbers_that_are_none_count_as_none(self) -> None:
        for size in (b"-1", b"1e9", b"9" * 20, b"", b"\xb2"):
            self.assertEqual(question_of({b"size": size}).size, 0)

    def test_a_name_longer_than_the_dns_has_is_none(self) -> None:
        self.assertEqual(question_of({b"client_name": b"a." * 200}).client_name, b"")

    def test_the_null_sender_has_no_domain(self) -> None:
        self.assertEqual(question_of({b"sender": b""}).sender_domain, b"")
        self.assertEqual(question_of({b"sender": b"root"}).sender_domain, b"")

    @settings(deadline=None, max_examples=200)
    @given(
        st.dictionaries(
            st.sampled_from(sorted(POSTFIX)).filter(lambda name: name != b"protocol_state"),
            st.binary(max_size=300),
        )
    )
    def test_any_values_make_a_question(self, attributes: dict[bytes, bytes]) -> None:
        question_of({**attributes, b"protocol_state": b"MAIL"})


class FeedbackTests(SynchronousTestCase):
    def test_it_tells_who_did_what(self) -> None:
        feedback = feedback_of(
            {**POSTFIX, b"mvmcas_event": b"unknown_recipient", b"mvmcas_count": b"3"}
        )
        self.assertIs(feedback.event, Event.UNKNOWN_RECIPIENT)
        self.assertEqual(feedback.count, 3)
        self.assertEqual(feedback.client, b"192.0.2.7")
        self.assertEqual(feedback.helo, b"mail.client.example")
        self.assertEqual(feedback.sender_domain, b"sender.example")

    def test_an_unknown_event_is_an_error(self) -> None:
        for event in (b"", b"rain", b"\xff"):
            with self.assertRaises(ValueError):
                feedback_of({b"mvmcas_event": event})

    def test_the_count_has_limits(self) -> None:
        counts = {b"0": 1, b"7": 7, b"999999": COUNT_MAX, b"-3": 1, b"x": 1}
        for written, count in counts.items():
            feedback = feedback_of({b"mvmcas_event": b"good_mail", b"mvmcas_count": written})
            self.assertEqual(feedback.count, count)


class NetworkTests(SynchronousTestCase):
    def test_networks(self) -> None:
        self.assertEqual(network_of(b"192.0.2.7"), b"192.0.2.0/24")
        self.assertEqual(network_of(b"192.0.2.7", 20), b"192.0.0.0/20")
        self.assertEqual(network_of(b"2001:db8:1:2:3::4"), b"2001:db8:1:2::/64")
        self.assertEqual(network_of(b"::ffff:192.0.2.7"), b"192.0.2.0/24")
        self.assertEqual(network_of(b"fe80::1%eth0"), b"fe80::/64")

    def test_a_whole_address_has_no_length(self) -> None:
        self.assertEqual(network_of(b"192.0.2.7", 32), b"192.0.2.7")
        self.assertEqual(network_of(b"2001:db8::7", 32, 128), b"2001:db8::7")

    def test_what_is_no_address_is_itself(self) -> None:
        for text in (b"", b"localhost", b"1.2.3", b"\xff", b"1" * 1000):
            self.assertEqual(network_of(text), text)
            self.assertIsNone(address_of(text))

    def test_a_client_has_all_of_its_64_bits(self) -> None:
        self.assertEqual(client_of(b"192.0.2.7"), b"192.0.2.7")
        self.assertEqual(client_of(b"2001:db8::7"), client_of(b"2001:db8::8"))
        self.assertNotEqual(client_of(b"2001:db8::7"), client_of(b"2001:db8:0:1::7"))

    @settings(deadline=None, max_examples=200)
    @given(st.ip_addresses(), st.integers(8, 32), st.integers(8, 128))
    def test_an_address_is_in_its_network(self, address: object, bits4: int, bits6: int) -> None:
        from ipaddress import ip_network

        network = ip_network(network_of(str(address).encode(), bits4, bits6).decode())
        mapped = getattr(address, "ipv4_mapped", None)
        self.assertIn(mapped or address, network)


class KeyTests(SynchronousTestCase):
    def test_a_blank_makes_no_second_part(self) -> None:
        self.assertNotEqual(key_of("grey", b"a b", b"c"), key_of("grey", b"a", b"b c"))
        self.assertEqual(len(key_of("grey", b"a b", b"c").split(" ")), 3)

    def test_long_keys_are_cut_and_still_differ(self) -> None:
        one, other = (key_of("grey", b"a" * 1000, end) for end in (b"b", b"c"))
        self.assertEqual((len(one), len(other)), (KEY_MAX, KEY_MAX))
        self.assertNotEqual(one, other)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.binary(max_size=400), max_size=3))
    def test_any_bytes_make_a_key_that_can_be_written(self, parts: list[bytes]) -> None:
        key = key_of("grey", *parts)
        self.assertLessEqual(len(key), KEY_MAX)
        self.assertEqual(key.encode("utf-8").decode("utf-8"), key)

    @settings(deadline=None, max_examples=100)
    @given(
        st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)),
        st.floats(0, 1e12),
    )
    def test_a_record_is_read_as_it_was_written(self, values: dict, expires: float) -> None:
        record = Record(values, expires)
        text = record.written()
        self.assertTrue(text.isascii())
        self.assertEqual(Record.read(text), record)
