"""Tests for L{mvmtr.protocol.extensions.xclient}: one client speaks for another."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.protocol.extensions.xclient import VALUE_MAX, introduced, parse_attributes
from mvmtr.protocol.parameters import BadParameter
from mvmtr.protocol.xtext import encode
from mvmtr.session import Connection, Encryption, Reject, Stage
from mvmtr.test.documentation import watch
from mvmtr.test.headers import StillFactory
from mvmtr.test.support import Talk, assemble

FRONT = Connection(
    remote_ip=b"192.0.2.1",
    remote_host=b"front.example",
    remote_info=b"front",
    local_ip=b"192.0.2.250",
    local_host=b"mx.example",
    environment={b"RELAYCLIENT": b"", b"TCPREMOTEIP": b"192.0.2.1"},
)
NETWORKS = "192.0.2.0/24"
ANNOUNCED = b"250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME"
HERE = b"RCPT TO:<r@local.example>"
ELSEWHERE = b"RCPT TO:<r@elsewhere.example>"
MAIL = b"MAIL FROM:<s@remote.example>"


class AttributeTests(SynchronousTestCase):
    """What the arguments of the command say."""

    def test_names_are_capitals_and_values_are_decoded(self):
        self.assertEqual(
            parse_attributes(b"name=Client.Example  addr=203.0.113.9 HeLo=a+2Bb+20c LOGIN=bob@x"),
            {
                b"NAME": b"client.example",
                b"ADDR": b"203.0.113.9",
                b"HELO": b"a+b c",
                b"LOGIN": b"bob@x",
            },
        )

    def test_addresses_have_the_form_that_sockets_have(self):
        for sent, meant in (
            (b"203.0.113.9", b"203.0.113.9"),
            (b"IPV6:2001:DB8:0::9", b"2001:db8::9"),
            (b"ipv6:2001:db8::9", b"2001:db8::9"),
            (b"2001:db8::9", b"2001:db8::9"),
            (b"IPV6:::ffff:203.0.113.9", b"203.0.113.9"),
            (b"IPV6:::ffff:cb00:7109", b"203.0.113.9"),
        ):
            self.assertEqual(parse_attributes(b"ADDR=" + sent), {b"ADDR": meant})
            self.assertEqual(parse_attributes(b"DESTADDR=" + sent), {b"DESTADDR": meant})

    def test_what_the_client_does_not_know_is_none(self):
        for name in (b"NAME", b"ADDR", b"PORT", b"HELO", b"LOGIN", b"REVERSE_NAME", b"PROTO"):
            for value in (b"[UNAVAILABLE]", b"[unavailable]", b"[TEMPUNAVAIL]"):
                self.assertEqual(parse_attributes(name + b"=" + value), {name: None})

    def test_a_value_that_is_no_xtext_is_taken_as_it_is(self):
        self.assertEqual(parse_attributes(b"LOGIN=a+b=c"), {b"LOGIN": b"a+b=c"})

    def test_the_last_of_several_values_holds(self):
        self.assertEqual(parse_attributes(b"PORT=1 PORT=2"), {b"PORT": b"2"})

    def test_all_else_is_refused(self):
        for argument in (
            b"",
            b"   ",
            b"NAME",
            b"NAME=",
            b"=x",
            b"COLOUR=red",
            b"NAME=a b",
            b"NAME=203.0.113.9",
            b"NAME=-x",
            b"NAME=x.",
            b"NAME=x;y",
            b"NAME=+0A",
            b"NAME=caf\xc3\xa9",
            b"ADDR=203.0.113",
            b"ADDR=203.0.113.009",
            b"ADDR=[203.0.113.9]",
            b"ADDR=IPV6:203.0.113.9",
            b"ADDR=IPV6:fe80::1%lo",
            b"ADDR=IPV4:203.0.113.9",
            b"ADDR=client.example",
            b"ADDR=\xff",
            b"ADDR=203.0.113.9+00",
            b"PORT=65536",
            b"PORT=-1",
            b"PORT=smtp",
            b"DESTPORT=",
            b"PROTO=LMTP",
            b"HELO=a+0Ab",
            b"HELO=a+0Db",
            b"HELO=a+00b",
            b"HELO=a\tb",
            b"LOGIN=a+7Fb",
            b"LOGIN=" + b"x" * (VALUE_MAX + 1),
        ):
            self.assertRaises(BadParameter, parse_attributes, argument)
        self.assertEqual(len(parse_attributes(b"LOGIN=" + b"x" * VALUE_MAX)[b"LOGIN"]), VALUE_MAX)

    @given(st.binary(max_size=80).filter(lambda value: value.strip(b" ")))
    @settings(deadline=None, max_examples=300)
    def test_of_any_bytes_come_values_without_control_characters(self, value):
        for argument in (value, b"NAME=" + value, b"ADDR=" + value, b"HELO=" + value):
            try:
                attributes = parse_attributes(argument)
            except BadParameter:
                continue
            for got in attributes.values():
                self.assertEqual([byte for byte in got or b"" if byte < 32 or byte == 127], [])

    @given(st.binary(min_size=1, max_size=60))
    @settings(deadline=None, max_examples=200)
    def test_a_login_comes_as_it_was_encoded(self, login):
        sent = b"LOGIN=" + encode(login)
        if any(byte < 32 or byte == 127 for byte in login):
            self.assertRaises(BadParameter, parse_attributes, sent)
        else:
            self.assertEqual(parse_attributes(sent)[b"LOGIN"], login)

    @given(st.ip_addresses())
    @settings(deadline=None, max_examples=200)
    def test_every_address_is_known(self, address):
        prefix = b"IPV6:" if address.version == 6 else b""
        sent = b"ADDR=" + prefix + str(address).encode()
        self.assertIsNotNone(parse_attributes(sent)[b"ADDR"])


class IntroductionTests(SynchronousTestCase):
    """The connection of the client that is spoken for."""

    def introduced(self, argument):
        return introduced(FRONT, parse_attributes(argument))

    def test_nothing_of_the_client_that_speaks_holds_for_one_with_another_address(self):
        self.assertEqual(
            self.introduced(b"ADDR=203.0.113.9"),
            Connection(
                remote_ip=b"203.0.113.9",
                local_ip=b"192.0.2.250",
                local_host=b"mx.example",
                forwarded_by=b"192.0.2.1",
            ),
        )

    def test_a_client_without_a_known_address_has_none(self):
        self.assertIsNone(self.introduced(b"ADDR=[UNAVAILABLE] NAME=client.example").remote_ip)

    def test_without_an_address_the_one_there_is_stays(self):
        connection = self.introduced(b"HELO=x")
        self.assertEqual(connection.remote_ip, b"192.0.2.1")
        self.assertEqual(connection.remote_host, b"front.example")
        self.assertEqual(self.introduced(b"NAME=x.example").remote_host, b"x.example")
        self.assertIsNone(self.introduced(b"NAME=[UNAVAILABLE]").remote_host)
        self.assertEqual(connection.environment, {})

    def test_the_address_that_was_called_may_be_another_one(self):
        connection = self.introduced(b"DESTADDR=198.51.100.2 DESTPORT=25 PORT=1")
        self.assertEqual(connection.local_ip, b"198.51.100.2")
        self.assertEqual(self.introduced(b"DESTADDR=[UNAVAILABLE]").local_ip, b"192.0.2.250")


@implementer(ICheck)
class Notes:
    """Notes who is seen at which stage, and refuses some."""

    name = "notes"
    stages = frozenset({Stage.CONNECT, Stage.HELO, Stage.RCPT})

    def __init__(self):
        self.seen = []

    def check(self, session, stage, argument):
        self.seen.append((stage.value, session.connection.remote_ip, argument))
        if session.connection.remote_ip == b"203.0.113.66":
            return Reject(554, "5.7.1 not you")
        if argument == b"bad.example":
            return Reject(550, "5.7.1 not that name")
        return None


class FrontTalk(Talk):
    """A session of the client that speaks for others."""

    def __init__(self, assembly, connection=FRONT, limited=False):
        self.transport = StringTransport()
        self.factory = StillFactory(assembly, limited)
        self.clock = self.factory.clock
        self.receiver = self.begin(connection, self.transport)

    def begin(self, connection, transport):
        receiver = self.factory.buildProtocol(None, connection)
        receiver.makeConnection(transport)
        return receiver


class SessionTests(SynchronousTestCase):
    """The command in a session."""

    def talk(self, front=FRONT, limited=False, **controls):
        self.notes = Notes()
        controls = {
            "smtp_server_xclient_networks": NETWORKS,
            "smtp_server_rcpt_domains": "local.example",
            **controls,
        }
        talk = FrontTalk(assemble(checks=(self.notes,), **controls), front, limited)
        self.assertEqual(talk.codes, [220])
        return talk

    def test_it_is_announced_to_clients_that_are_trusted(self):
        talk = self.talk()
        talk.receiver.dataReceived(b"EHLO x\r\n")
        self.assertIn(ANNOUNCED, [b"250 " + line[4:] for line in talk.said.split(b"\r\n")])

    def test_others_are_neither_told_of_it_nor_believed(self):
        stranger = replace(FRONT, remote_ip=b"192.0.3.1")
        for connection in (stranger, replace(FRONT, remote_ip=None)):
            talk = self.talk(connection)
            talk.receiver.dataReceived(b"EHLO x\r\n")
            self.assertNotIn(b"XCLIENT", talk.said)
            talk.receiver.dataReceived(b"XCLIENT ADDR=203.0.113.9\r\n")
            self.assertEqual(talk.said, b"550 5.7.0 you may not speak for others (#5.7.0)\r\n")
            self.assertIs(talk.receiver.session.connection, connection)

    def test_without_trusted_clients_there_is_no_such_command(self):
        talk = self.talk(smtp_server_xclient_networks="")
        self.assertEqual(talk.send(b"EHLO x", b"XCLIENT ADDR=203.0.113.9"), [250, 502])

    def test_the_session_begins_anew_and_is_that_of_the_other_client(self):
        talk = self.talk()
        before = talk.receiver.session
        self.assertEqual(talk.send(b"EHLO front.example", b"XCLIENT ADDR=203.0.113.9"), [250, 220])
        session = talk.receiver.session
        self.assertIsNot(session, before)
        self.assertIsNone(session.helo)
        self.assertEqual(session.connection.forwarded_by, b"192.0.2.1")
        self.assertEqual(self.notes.seen[-1], ("connect", b"203.0.113.9", b""))
        self.assertEqual(talk.send(b"EHLO client.example"), [250])
        self.assertEqual(self.notes.seen[-1], ("helo", b"203.0.113.9", b"client.example"))

    def test_the_rights_of_the_client_that_speaks_are_not_those_of_the_other(self):
        talk = self.talk()
        self.assertEqual(talk.send(MAIL, ELSEWHERE, b"RSET"), [250, 250, 250])
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.9", MAIL, ELSEWHERE), [220, 250, 553])
        self.assertEqual(talk.send(HERE), [250])

    def test_a_client_that_is_refused_is_told_so_and_must_go(self):
        talk = self.talk()
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.66", b"NOOP"), [554])
        self.assertTrue(talk.closed)

    def test_the_other_client_is_trusted_only_if_it_is_trusted_itself(self):
        talk = self.talk()
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.9"), [220])
        talk.receiver.dataReceived(b"EHLO x\r\n")
        self.assertNotIn(b"XCLIENT", talk.said)
        self.assertEqual(talk.send(b"XCLIENT ADDR=192.0.2.1"), [550])
        talk = self.talk()
        self.assertEqual(talk.send(b"XCLIENT ADDR=192.0.2.9", b"XCLIENT ADDR=::1"), [220, 220])
        self.assertEqual(talk.receiver.session.connection.forwarded_by, b"192.0.2.9")

    def test_not_within_a_transaction(self):
        talk = self.talk()
        self.assertEqual(talk.send(MAIL, b"XCLIENT ADDR=203.0.113.9"), [250, 503])
        self.assertEqual(talk.send(HERE, b"DATA", b"text", b"."), [250, 354, 250])
        self.assertEqual(talk.send(MAIL, b"RSET", b"XCLIENT ADDR=203.0.113.9"), [250, 250, 220])

    def test_what_makes_no_sense_changes_nothing(self):
        talk = self.talk()
        before = talk.receiver.session
        for argument in (b"", b" ADDR=x", b" ADDR=203.0.113.9 NAME=;", b" HELO=a+0D+0AQUIT"):
            self.assertEqual(talk.send(b"XCLIENT" + argument), [501], argument)
        self.assertIs(talk.receiver.session, before)
        self.assertFalse(talk.receiver.vouched)

    def test_commands_may_come_right_behind_it(self):
        talk = self.talk()
        sent = (b"XCLIENT ADDR=203.0.113.9", b"EHLO x", MAIL, HERE, b"DATA", b"text", b".", b"QUIT")
        self.assertEqual(talk.send(*sent), [220, 250, 250, 250, 354, 250, 221])

    def test_a_login_is_that_of_the_other_client_and_may_relay(self):
        talk = self.talk()
        sent = b"XCLIENT ADDR=203.0.113.9 LOGIN=bob+40local.example"
        self.assertEqual(talk.send(sent, b"EHLO x", MAIL, ELSEWHERE), [220, 250, 250, 250])
        self.assertEqual(talk.receiver.session.user, b"bob@local.example")

    def test_there_is_no_login_without_one(self):
        talk = self.talk()
        for login in (b"", b" LOGIN=[UNAVAILABLE]"):
            self.assertEqual(talk.send(b"XCLIENT ADDR=192.0.2.9 LOGIN=bob"), [220])
            sent = b"XCLIENT ADDR=192.0.2.9" + login
            self.assertEqual(talk.send(sent, MAIL, ELSEWHERE, b"RSET"), [220, 250, 553, 250])
            self.assertIsNone(talk.receiver.session.user)

    def test_the_other_client_may_have_said_its_name_already(self):
        for proto, esmtp in ((b"", False), (b" PROTO=SMTP", False), (b" PROTO=esmtp", True)):
            talk = self.talk()
            sent = b"XCLIENT ADDR=203.0.113.9 HELO=client.example" + proto
            self.assertEqual(talk.send(sent), [220])
            self.assertEqual(self.notes.seen[-1], ("helo", b"203.0.113.9", b"client.example"))
            session = talk.receiver.session
            self.assertEqual((session.helo, session.esmtp), (b"client.example", esmtp))

    def test_a_name_that_is_refused_is_not_taken(self):
        talk = self.talk()
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.9 HELO=bad.example"), [550])
        self.assertIsNone(talk.receiver.session.helo)
        self.assertEqual(talk.receiver.session.connection.remote_ip, b"203.0.113.9")
        self.assertEqual(talk.send(b"EHLO good.example"), [250])

    def test_the_certificate_of_the_client_that_speaks_is_not_that_of_the_other(self):
        talk = self.talk()
        encryption = Encryption("TLSv1.3", "x", client=b"front@example")
        talk.receiver.encryption = encryption
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.9"), [220])
        self.assertEqual(talk.receiver.session.encryption, replace(encryption, client=None))

    def test_a_message_says_where_it_came_from(self):
        talk = self.talk()
        talk.send(b"XCLIENT ADDR=203.0.113.9 NAME=client.example", b"HELO c", MAIL, HERE, b"DATA")
        header = talk.receiver.session.transaction.header
        expected = (
            b"Received: from client.example (HELO c) (203.0.113.9)\n  by mx.example with SMTP;"
        )
        self.assertEqual(header[: len(expected)], expected)

    def test_both_sessions_are_in_the_log(self):
        records = watch(self)
        talk = self.talk()
        talk.send(b"XCLIENT ADDR=203.0.113.9 LOGIN=bob", b"QUIT")
        talk.receiver.connectionLost(connectionDone)
        first, second = records
        self.assertEqual((first["event"], second["event"]), ("connection", "connection"))
        self.assertNotEqual(first["session"], second["session"])
        self.assertEqual((first["client"], first["via"], first["quit"]), (b"192.0.2.1", None, "no"))
        self.assertEqual(
            (second["client"], second["via"], second["user"], second["quit"]),
            (b"203.0.113.9", b"192.0.2.1", b"bob", "yes"),
        )

    def test_a_refusal_is_in_the_log(self):
        records = watch(self)
        self.talk().send(b"XCLIENT COLOUR=red")
        self.assertEqual(
            [records[0][name] for name in ("command", "argument", "code", "reason")],
            ["xclient", b"COLOUR=red", 501, "there is no attribute b'COLOUR'"],
        )

    def test_limits_count_the_client_that_is_spoken_for(self):
        talk = self.talk(limited=True, smtp_server_connections_per_address="1")
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.9"), [220])
        second = StringTransport()
        receiver = talk.begin(FRONT, second)
        second.clear()
        receiver.dataReceived(b"XCLIENT ADDR=203.0.113.9\r\n")
        self.assertEqual(second.value()[:4], b"421 ")
        receiver.connectionLost(connectionDone)
        talk.receiver.connectionLost(connectionDone)
        self.assertEqual((talk.factory.load.places.taken, len(talk.factory.load.places)), (0, 0))

    def test_what_was_to_be_thrown_away_was_only_for_the_first_client(self):
        talk = self.talk()
        talk.receiver._discard = object()
        self.assertEqual(talk.send(b"XCLIENT ADDR=203.0.113.9"), [220])
        self.assertIsNone(talk.receiver._discard)
