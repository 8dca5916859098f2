"""Tests for L{mvmtr.protocol.ucspi}: TLS that the parent does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.protocol.ucspi import Ucspi, encryption_told, parse_answer
from mvmtr.test.certificates import Authority, Client
from mvmtr.test.support import Recorder, control_folder, folder, twistd
from mvmtr.test.test_stdio import plain_environment

SEND = (b"EHLO c", b"MAIL FROM:<s@client.example>", b"RCPT TO:<r@ours.example>", b"DATA", b".")
CODES = [250, 250, 250, 354, 250]


class AnswerTests(SynchronousTestCase):
    """What the parent says, and by which variables."""

    def test_variables_end_with_two_nuls(self):
        self.assertEqual(parse_answer(b"A=1\0B=2=3\0\0"), {b"A": b"1", b"B": b"2=3"})
        self.assertEqual(parse_answer(b"\0\0"), {})
        for unfinished in (b"", b"\0", b"A=1", b"A=1\0", b"A=1\0B"):
            self.assertIsNone(parse_answer(unfinished))

    @settings(deadline=None, max_examples=200)
    @given(
        st.dictionaries(
            st.binary(min_size=1).filter(lambda text: not set(text) & set(b"=\0")),
            st.binary().filter(lambda text: b"\0" not in text),
            min_size=1,
        )
    )
    def test_what_goes_in_comes_out(self, variables):
        text = b"".join(b"%s=%s\0" % item for item in variables.items()) + b"\0"
        self.assertEqual(parse_answer(text), variables)
        self.assertIsNone(parse_answer(text[:-1]))

    @settings(deadline=None, max_examples=200)
    @given(st.binary())
    def test_anything_can_be_parsed(self, text):
        parse_answer(text)

    def test_protocol_and_cipher_are_told_by_name(self):
        told = encryption_told({b"SSL_PROTOCOL": b"TLSv1.3", b"SSL_CIPHER": b"X"})
        self.assertEqual((told.protocol, told.cipher, told.client), ("TLSv1.3", "X", None))
        self.assertIsNone(encryption_told({b"SSL_CIPHER": b"X"}))

    def test_an_offer_needs_all_three_descriptors_and_the_word(self):
        good = {b"UCSPITLS": b"", b"SSLCTLFD": b"0", b"SSLREADFD": b"1", b"SSLWRITEFD": b"2"}
        self.assertEqual(Ucspi.offered_by(good, None), Ucspi(0, 1, 2, None))
        for name in good:
            bad = {key: value for key, value in good.items() if key != name}
            self.assertIsNone(Ucspi.offered_by(bad, None), name)
            for value in (b"-", b"x", b"999999", b"9" * 40):
                if name != b"UCSPITLS" or value == b"-":
                    self.assertIsNone(Ucspi.offered_by({**good, name: value}, None), name)


class SslserverTests(SynchronousTestCase):
    """The program as a child of something that speaks like sslserver."""

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(self.home, {"me": "mx.example", "rcpthosts": "ours.example"})
        self.recorder = Recorder(self.home)
        self.authority = Authority(self.home)
        self.tls = self.authority.client()

    def start(self, *options, **variables):
        record = os.fsdecode(self.recorder.environment[b"RECORD_DIR"])
        path = str(self.authority.write("server.pem", "mx.example"))
        program = twistd("mvmtr", "--stdio", f"--control-dir={self.control}", *options)
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sslserver.py")), path, *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=plain_environment(RECORD_DIR=record, **variables),
        )
        self.addCleanup(self.server.stderr.close)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        with self.server.stdout as output:
            self.port = int(output.readline())
        client = Client(self.port)
        self.addCleanup(client.connection.close)
        return client

    def end(self, status):
        logged = self.server.communicate(timeout=30)[1].decode()
        self.assertEqual(self.server.returncode, status, logged)
        self.assertNotIn("Traceback", logged)
        return logged

    def test_starttls_is_done_by_the_parent(self):
        client = self.start()
        greeting = client.reply()
        self.assertTrue(greeting.startswith(b"220 mx.example"), greeting)
        client.connection.sendall(b"EHLO c\r\n")
        self.assertIn(b"STARTTLS", client.reply())
        self.assertEqual(client.say(b"STARTTLS"), [220])
        client.encrypt(self.tls)
        client.connection.sendall(b"EHLO c\r\n")
        self.assertNotIn(b"STARTTLS", client.reply())
        self.assertEqual(client.say(b"STARTTLS", *SEND, b"QUIT"), [503, *CODES, 221])
        self.assertEqual(client.rest(), b"")
        logged = self.end(0)
        self.assertIn('tls="TLSv1.3 ', logged)
        self.assertIn(b" with ESMTPS; ", self.recorder.recorded("message"))

    def test_all_is_forgotten_and_large_messages_pass(self):
        client = self.start()
        client.reply()
        client.say(*SEND[:2], b"STARTTLS")
        client.encrypt(self.tls)
        self.assertEqual(client.say(b"RCPT TO:<r@ours.example>", *SEND[:4]), [503, *CODES[:4]])
        client.connection.sendall(b"0123456789\r\n" * 100_000)
        self.assertEqual(client.say(b".", b"QUIT"), [250, 221])
        self.end(0)
        self.assertEqual(self.recorder.recorded("message").count(b"0123456789\n"), 100_000)

    def test_commands_in_clear_behind_it_are_501(self):
        client = self.start()
        client.reply()
        client.connection.sendall(b"STARTTLS\r\n" + b"\r\n".join(SEND) + b"\r\n")
        self.assertTrue(client.rest().startswith(b"501 5.5.2 "))
        self.end(1)
        self.assertEqual(self.recorder.runs, 0)

    def test_commands_in_clear_behind_its_reply_are_not_run(self):
        client = self.start()
        client.reply()
        client.say(b"STARTTLS")
        client.connection.sendall(b"\r\n".join(SEND) + b"\r\n")
        self.assertNotIn(b"250", client.rest())
        self.server.wait(60)
        self.assertEqual(self.recorder.runs, 0)

    def test_a_parent_that_fails_ends_the_session(self):
        client = self.start(FAIL="1")
        client.reply()
        client.say(b"STARTTLS")
        self.assertEqual(client.rest(), b"")
        self.assertIn("command=starttls", self.end(1))

    def test_tls_can_be_demanded_by_the_parent(self):
        client = self.start(UCSPITLS="!")
        client.reply()
        self.assertEqual(client.say(b"EHLO c", b"MAIL FROM:<a@b>", b"QUIT"), [250, 530, 221])
        self.end(0)

    def test_tls_can_be_withheld_by_the_parent(self):
        client = self.start(UCSPITLS="-")
        client.reply()
        self.assertEqual(client.say(b"EHLO c", b"STARTTLS", b"QUIT"), [250, 502, 221])
        self.end(0)

    def test_tls_that_was_there_from_the_first_byte_is_noticed(self):
        client = self.start(IMPLICIT="1")
        client.encrypt(self.tls)
        client.reply()
        self.assertEqual(client.say(*SEND, b"STARTTLS", b"QUIT"), [*CODES, 503, 221])
        self.end(0)
        self.assertIn(b" with ESMTPS; ", self.recorder.recorded("message"))
