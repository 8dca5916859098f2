"""Tests for L{mvmtr.auth.sasl}."""

from __future__ import annotations

import hmac

from hypothesis import given, settings
from hypothesis import strategies as st
from scramp import ScramClient
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.sasl import (
    CramMd5,
    Credentials,
    Forbidden,
    IScramCredentials,
    Login,
    Malformed,
    Plain,
    ScramSha256,
    decoded,
    encoded,
)

MARKER = b"x-marker-x"


class Base64Tests(SynchronousTestCase):
    """Base64, strictly."""

    def test_a_text_has_one_right_form(self):
        self.assertEqual(decoded(b""), b"")
        self.assertEqual(decoded(b"AGE="), b"\0a")

    def test_everything_else_is_refused(self):
        for text in (
            b"=", b"A", b"AA", b"AAA", b"AGE", b"AGE==", b"AGF=", b"A=GE", b"AGE= ", b" AGE=",
            b"AGE=AGE=", b"AG\r\nE=", b"AG E", b"AG-_", b"AGE=\0", b"\xff\xff\xff\xff", b"====",
        ):  # fmt: skip
            self.assertRaises(Malformed, decoded, text)

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=60))
    def test_what_was_encoded_comes_back(self, data):
        self.assertEqual(decoded(encoded(data)), data)

    @settings(deadline=None, max_examples=300)
    @given(st.text("AGE=+/-_ \r\n", max_size=12).map(str.encode) | st.binary(max_size=12))
    def test_nothing_but_the_one_form_is_taken(self, text):
        try:
            data = decoded(text)
        except Malformed as error:
            self.assertEqual(str(error), "")
        else:
            self.assertEqual(encoded(data), text)


class PlainTests(SynchronousTestCase):
    """PLAIN and LOGIN."""

    def test_the_message_of_plain_has_three_parts(self):
        for message in (b"\0ann\0open sesame", b"ann\0ann\0open sesame"):
            credentials = Plain().answer(message)
            self.assertTrue(IUsernamePassword.providedBy(credentials))
            self.assertEqual((credentials.username, credentials.password), (b"ann", b"open sesame"))
            self.assertTrue(credentials.checkPassword(b"open sesame"))
            self.assertFalse(credentials.checkPassword(b"open"))

    def test_other_messages_are_malformed(self):
        for message in (
            b"", b"ann", b"ann\0pass", b"\0ann\0", b"\0\0pass", b"\0a\0b\0c", b"\0\0", b"\0a\nb\0c",
            b"\0a\rb\0c", b"\0a\x1bb\0c", b"\0a\x7f\0c",
        ):  # fmt: skip
            self.assertRaises(Malformed, Plain().answer, message)

    def test_nobody_acts_for_somebody_else(self):
        self.assertRaises(Forbidden, Plain().answer, b"root\0ann\0open sesame")

    def test_login_asks_for_name_and_password(self):
        login = Login()
        self.assertEqual(login.challenge(), b"Username:")
        self.assertEqual(login.answer(b"ann"), b"Password:")
        credentials = login.answer(b"open sesame")
        self.assertTrue(credentials.checkPassword(b"open sesame"))

    def test_login_has_no_empty_names_and_no_nul(self):
        self.assertRaises(Malformed, Login().answer, b"")
        self.assertRaises(Malformed, Login().answer, b"a\0b")
        for password in b"", b"a\0b":
            login = Login()
            login.answer(b"ann")
            self.assertRaises(Malformed, login.answer, password)

    def test_credentials_do_not_show_what_is_in_them(self):
        credentials = Plain().answer(b"\0ann\0" + MARKER)
        self.assertNotIn(MARKER.decode(), repr(credentials) + str(credentials))


class CramTests(SynchronousTestCase):
    """CRAM-MD5."""

    def test_the_challenge_is_a_message_id_and_never_the_same(self):
        challenges = {CramMd5(b"mx.example").challenge() for _number in range(50)}
        self.assertEqual(len(challenges), 50)
        for challenge in challenges:
            self.assertRegex(challenge, rb"\A<[0-9a-f]{24}\.\d+@mx\.example>\Z")

    def answer(self, mechanism, password=b"open sesame"):
        return hmac.new(password, mechanism.challenge(), "md5").hexdigest().encode()

    def test_the_answer_is_name_and_digest(self):
        mechanism = CramMd5(b"mx.example")
        credentials = mechanism.answer(b"ann smith " + self.answer(mechanism))
        self.assertTrue(IUsernameHashedPassword.providedBy(credentials))
        self.assertEqual(credentials.username, b"ann smith")
        self.assertTrue(credentials.checkPassword(b"open sesame"))
        self.assertFalse(credentials.checkPassword(b"open"))

    def test_the_example_of_the_rfc(self):
        mechanism = CramMd5(b"x")
        mechanism._challenge = b"<1896.697170952@postoffice.reston.mci.net>"
        credentials = mechanism.answer(b"tim b913a602c7eda7a495b4e6e7334d3890")
        self.assertTrue(credentials.checkPassword(b"tanstaaftanstaaf"))

    def test_the_answer_to_another_challenge_is_wrong(self):
        old = CramMd5(b"mx.example")
        credentials = CramMd5(b"mx.example").answer(b"ann " + self.answer(old))
        self.assertFalse(credentials.checkPassword(b"open sesame"))

    def test_other_answers_are_malformed(self):
        for answer in b"", b"ann", b"ann x", b" " + b"0" * 32, b"ann " + b"0" * 31, b"0" * 32:
            self.assertRaises(Malformed, CramMd5(b"x").answer, answer)


class ScramTests(SynchronousTestCase):
    """SCRAM-SHA-256."""

    def mechanism(self, salt=b"s" * 16, iterations=4096):
        return ScramSha256(lambda user: (salt, iterations))

    def exchange(self, client, mechanism=None):
        """Credentials from the client's two messages."""
        mechanism = mechanism or self.mechanism()
        first = mechanism.answer(client.get_client_first().encode())
        client.set_server_first(first.decode())
        return mechanism.answer(client.get_client_final().encode())

    def test_the_example_of_the_rfc(self):
        mechanism = self.mechanism(decoded(b"W22ZaJ0SNY7soEsUEjb6gQ=="))
        mechanism._server.s_nonce = type(mechanism._server.s_nonce)(
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        )
        first = mechanism.answer(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        self.assertEqual(
            first,
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        )
        credentials = mechanism.answer(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        self.assertTrue(credentials.checkPassword(b"pencil"))
        self.assertEqual(credentials.final, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")

    def test_the_right_password_is_right_and_the_server_proves_itself(self):
        client = ScramClient(["SCRAM-SHA-256"], "ann", "open sesame")
        credentials = self.exchange(client)
        self.assertEqual(credentials.username, b"ann")
        self.assertTrue(IScramCredentials.providedBy(credentials))
        self.assertTrue(credentials.checkPassword(b"open sesame"))
        client.set_server_final(credentials.final.decode())

    def test_a_wrong_password_is_wrong(self):
        credentials = self.exchange(ScramClient(["SCRAM-SHA-256"], "ann", "open"))
        self.assertFalse(credentials.checkPassword(b"open sesame"))
        self.assertFalse(credentials.checkPassword(b"\xff"))
        self.assertIsNone(credentials.final)

    def test_several_checkers_may_look_at_one_proof(self):
        credentials = self.exchange(ScramClient(["SCRAM-SHA-256"], "ann", "open sesame"))
        self.assertFalse(credentials.check_keys(b"k" * 32, b"k" * 32))
        self.assertTrue(credentials.checkPassword(b"open sesame"))

    def test_a_proof_is_good_for_one_exchange(self):
        client = ScramClient(["SCRAM-SHA-256"], "ann", "open sesame")
        self.exchange(client)
        final = b"c=biws,r=%s,p=%s" % (str(client.nonce).encode(), encoded(b"x" * 32))
        mechanism = self.mechanism()
        mechanism.answer(b"n,,n=ann,r=" + str(client.c_nonce).encode())
        self.assertFalse(mechanism.answer(final).checkPassword(b"open sesame"))

    def test_first_messages_that_are_none(self):
        for message in (
            b"", b"n", b"n,,", b"n,,n=ann", b"n,,r=x,n=ann", b"x,,n=ann,r=x", b"n,,n=,r=x",
            b"p=tls-unique,,n=ann,r=x", b"n,a=bob,n=ann,r=x", b"n,,m=x,n=ann,r=x", b"\xff",
            b"n,,n=a=2Xnn,r=x", b"n,,n=a\0b,r=x", b"n,,n=a\nb,r=x", b"n,,n=ann,r=", b",,,,",
        ):  # fmt: skip
            self.assertRaises(Malformed, self.mechanism().answer, message)

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.text("nrcps=,iva\0é12yb", max_size=30), max_size=3))
    def test_nothing_breaks_it(self, messages):
        mechanism = self.mechanism()
        for message in messages:
            try:
                found = mechanism.answer(message.encode())
            except Malformed as error:
                self.assertEqual(str(error), "")
                break
            if isinstance(found, Credentials):
                self.assertFalse(found.checkPassword(b"open sesame"))
                break


class AnyTests(SynchronousTestCase):
    """Whatever comes."""

    @settings(deadline=None, max_examples=300)
    @given(
        st.sampled_from([Plain, Login, lambda: CramMd5(b"x")]),
        st.lists(st.binary(max_size=40) | st.text("\0 ab", max_size=9).map(str.encode), max_size=3),
    )
    def test_there_are_credentials_or_a_challenge_or_malformed(self, make, responses):
        mechanism = make()
        for response in responses:
            try:
                found = mechanism.answer(response)
            except (Malformed, Forbidden) as error:
                self.assertEqual(str(error), "")
                break
            if isinstance(found, Credentials):
                self.assertTrue(found.username)
                self.assertFalse(set(found.username) & {*range(32), 127})
                break
            self.assertIsInstance(found, bytes)
