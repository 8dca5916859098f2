"""Tests for L{mvmtr.protocol.extensions.dsn}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.extensions import dsn
from mvmtr.protocol.parameters import BadParameter, UnknownParameter, parse_parameters
from mvmtr.test.stand_ins import MAIL, RCPT, Takes, talk_with

GOOD = {
    b"RET": (b"FULL", b"HDRS", b"full", b"Hdrs"),
    b"ENVID": (b"QQ314159", b"a+2Bb", b"x" * 100, b"a+20b", b"+3D"),
    b"NOTIFY": (
        b"NEVER", b"never", b"SUCCESS", b"FAILURE", b"DELAY", b"Success,DELAY",
        b"FAILURE,DELAY,SUCCESS",
    ),
    b"ORCPT": (
        b"rfc822;Bob@Example.COM", b"rfc822;a+2Bb@c", b"X400;/c=de+20x".replace(b"=", b"+3D"),
        b"rfc822;" + b"x" * 493, b"utf-8;" + "søren@x".encode(), b"UTF-8;s\\x{F8}ren@x",
        b"rfc822;a;b",
    ),
}  # fmt: skip
BAD = {
    b"RET": (None, b"", b"BODY", b"FULL,HDRS", b"FULL "),
    b"ENVID": (
        None, b"", b"x" * 101, b"a=b", b"a+2b", b"+", b"a+0Db", b"a+00", b"+0A", b"\xe9", b"+E9",
        b"+7F",
    ),
    b"NOTIFY": (
        None, b"", b"NEVER,SUCCESS", b"SUCCESS,NEVER", b"SUCCESS,", b",SUCCESS", b"ALWAYS",
        b"SUCCESS,,DELAY", b"SUCCESS;DELAY", b"SUCCESS,DELAY,FAILURE,DELAY", b"NEVER\n",
    ),
    b"ORCPT": (
        None, b"", b"rfc822", b"rfc822;", b";a@b", b"rfc 822;a", b"rfc822;a=b", b"rfc822;a+0A",
        b"rfc822;a+00b", b"rfc822;\xe9", b"rfc822;" + b"x" * 494, b"utf-8;\xe9", b"utf-8;a\x7f",
        b"utf-8;" + "a\u2028b".encode(), b"(x);a",
    ),
}  # fmt: skip
CHECKS = {**dsn.EXTENSION.mail, **dsn.EXTENSION.rcpt}


class ParameterTests(SynchronousTestCase):
    """The values of the four parameters."""

    def test_good_values_are_taken(self):
        self.assertEqual(set(GOOD), set(CHECKS))
        for keyword, values in GOOD.items():
            for value in values:
                CHECKS[keyword](value)

    def test_bad_values_are_refused(self):
        self.assertEqual(set(BAD), set(CHECKS))
        for keyword, values in BAD.items():
            for value in values:
                with self.assertRaises(BadParameter, msg=(keyword, value)):
                    CHECKS[keyword](value)

    @settings(deadline=None, max_examples=300)
    @given(
        st.sampled_from(sorted(CHECKS)),
        st.lists(
            st.sampled_from(
                [b"FULL", b"NEVER", b"DELAY", b",", b";", b"rfc822", b"+2B", b"=", b"a"]
            )
            | st.binary(max_size=5),
            max_size=4,
        ).map(b"".join),
    )
    def test_whatever_comes_is_understood_or_refused(self, keyword, value):
        try:
            found = parse_parameters([keyword + b"=" + value], CHECKS)
        except (BadParameter, UnknownParameter):
            return
        self.assertEqual(found, {keyword: value})
        self.assertNotRegex(value, rb"[\x00-\x20\x7f]")


class SessionTests(SynchronousTestCase):
    """The parameters in a session."""

    def talk(self, carries=("DSN",), *before):
        talk = talk_with(queue=Takes(carries=carries))
        talk.receiver.dataReceived(b"EHLO c\r\n")
        return talk

    def test_it_is_offered_and_known_only_where_the_queue_carries_it(self):
        for carries, codes in ((["DSN"], [250, 250]), (["SMTPUTF8", "BINARYMIME"], [555, 555])):
            talk = self.talk(carries)
            self.assertEqual(b"250-DSN\r\n" in talk.said, codes == [250, 250])
            got = talk.send(MAIL + b" RET=HDRS ENVID=x")
            talk.send(MAIL)
            self.assertEqual([*got, *talk.send(RCPT + b" NOTIFY=NEVER")], codes)

    def test_the_queue_finds_them_in_the_transaction(self):
        talk = self.talk()
        talk.send(
            MAIL + b" ret=HDRS ENVID=a+2Bb SIZE=1",
            RCPT + b" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@x",
            RCPT,
            b"RCPT TO:<x@elsewhere.example> NOTIFY=NEVER",
            RCPT + b" notify=never",
        )
        transaction = talk.receiver.session.transaction
        self.assertEqual(
            transaction.parameters, {b"RET": b"HDRS", b"ENVID": b"a+2Bb", b"SIZE": b"1"}
        )
        self.assertEqual(
            transaction.recipient_parameters,
            [
                {b"NOTIFY": b"SUCCESS,DELAY", b"ORCPT": b"rfc822;Bob@x"},
                {},
                {b"NOTIFY": b"never"},
            ],
        )
        self.assertEqual(len(transaction.recipients), 3)

    def test_a_bad_value_is_501_and_a_parameter_in_the_wrong_place_555(self):
        talk = self.talk()
        talk.send()
        for mail, code in (
            (b" RET=ALL", 501),
            (b" ENVID=", 501),
            (b" RET=FULL RET=FULL", 501),
            (b" NOTIFY=NEVER", 555),
        ):
            self.assertEqual(talk.send(MAIL + mail), [code], mail)
        talk.send(MAIL)
        for rcpt, code in (
            (b" NOTIFY=", 501),
            (b" ORCPT=x", 501),
            (b" NOTIFY=NEVER NOTIFY=NEVER", 501),
            (b" RET=FULL", 555),
        ):
            self.assertEqual(talk.send(RCPT + rcpt), [code], rcpt)
        self.assertEqual(talk.send(b"DATA"), [503])
