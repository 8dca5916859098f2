"""Tests of the startup files in the folder of examples, each in real sessions."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.hooks.host import SessionHost
from mvmtr.mfl.host import Host
from mvmtr.mfl.program import Limits, read
from mvmtr.mfl.runtime import Run
from mvmtr.session import Encryption
from mvmtr.test.mfl_examples import send, talk_of
from mvmtr.test.stand_ins import MAIL
from mvmtr.test.support import CLIENT, ROOT

FOLDER = ROOT / "examples" / "mfl"
SUNDAY = int(time.mktime((2001, 9, 16, 0, 0, 0, 0, 0, -1)))
"""Midnight, in local time, before a Sunday."""
BOARD = b"RCPT TO:<chair@board.example.org>"

# Installed alone, the package has no examples to test.
skip = None if FOLDER.is_dir() else "there are no examples here"


def to(recipient):
    """A RCPT command."""
    return b"RCPT TO:<%s>" % recipient


class ExampleFileTests(SynchronousTestCase):
    """What each of them is for, and what it leaves alone."""

    def talk(self, name, connection=CLIENT):
        talk, self.queue, _check = talk_of(FOLDER / f"{name}.mfl", connection)
        return talk

    def test_each_file_has_a_test_here(self):
        names = {path.stem.replace("-", "_") for path in FOLDER.iterdir()}
        tested = "".join(name for name in dir(self) if name.startswith("test_"))
        for name in names:
            self.assertIn(f"test_{name}", tested)

    def test_each_file_is_on_the_page(self):
        shown = re.findall(
            r"examples/mfl/([a-z-]+\.mfl)$", (ROOT / "docs/mfl.rst").read_text(), re.M
        )
        self.assertEqual(sorted(shown), sorted(path.name for path in FOLDER.iterdir()))

    def test_block_helo_refuses_names_that_can_not_be_true(self):
        for name, code in {
            b"localhost": 550,
            b"YLMF-PC": 550,
            b"192.0.2.1": 550,
            b"[192.0.2.1]": 250,
            b"client.example": 250,
        }.items():
            self.assertEqual(self.talk("block-helo").send(b"HELO " + name), [220, code], name)

    def test_tag_says_what_is_odd_and_refuses_nothing(self):
        nameless = replace(CLIENT, remote_host=None)
        talk = self.talk("tag", nameless)
        message = "Subject: you are a winner\nX-Odd: my own\n\nhello\n"
        self.assertEqual(send(talk, message, (MAIL, to(b"a@mvmtr.example")))[-1], 250)
        ((_recipients, text),) = self.queue.messages
        header = text.partition(b"\n\n")[0].splitlines()
        odd = b"X-Odd: no-name, no-date-or-from, lottery"
        self.assertEqual(sorted(header), sorted([b"Subject: you are a winner", odd]))

    def test_tag_leaves_an_ordinary_message_alone(self):
        message = "Subject: hello\nFrom: a@b.example\nDate: today\n\nhello\n"
        self.assertEqual(send(self.talk("tag"), message, (MAIL, to(b"a@mvmtr.example")))[-1], 250)
        self.assertEqual(self.queue.messages, [((b"a@mvmtr.example",), message.encode())])

    def board(self, size, tls):
        talk = self.talk("strict-domain")
        if tls:
            talk.receiver.encryption = talk.receiver.session.encryption = Encryption("TLS", "x")
        talk.receiver.session.relay = "for the test"
        message = "Subject: x\n\n" + "a line\n" * (size // 7)
        return send(talk, message, (MAIL, BOARD))[-1]

    def test_strict_domain_wants_tls_and_small_messages(self):
        talk = self.talk("strict-domain")
        self.assertEqual(talk.send(b"EHLO c", MAIL, BOARD, to(b"a@mvmtr.example"))[-2:], [550, 250])
        self.assertEqual(self.board(1000, tls=True), 250)
        self.assertEqual(self.board(2_000_000, tls=True), 550)

    def test_strict_domain_lets_others_send_large_messages_in_clear(self):
        message = "Subject: x\n\n" + "a line\n" * 300_000
        talk = self.talk("strict-domain")
        self.assertEqual(send(talk, message, (MAIL, to(b"a@mvmtr.example")))[-1], 250)

    def test_relay_network_opens_for_its_addresses_only(self):
        for address, code in {
            b"192.0.2.99": 250,
            b"2001:db8:5::1": 250,
            b"192.0.20.9": 553,
            b"203.0.113.7": 553,
            b"2001:db8:55::1": 553,
        }.items():
            talk = self.talk("relay-network", replace(CLIENT, remote_ip=address))
            talk.send(b"HELO c", MAIL)
            self.assertEqual(talk.send(to(b"r@elsewhere.example")), [code], address)

    def test_maintenance_is_on_sundays_from_three_to_five(self):
        program = read(str(FOLDER / "maintenance.mfl"))
        for hours, defers in (2.99, 0), (3, 1), (4.99, 1), (5, 0), (27, 0), (3 + 7 * 24, 1):
            run = Run(Host(), Limits(), program.globals())
            moment = SUNDAY + int(hours * 3600)
            self.assertEqual(program.execute("is_maintenance", run, [moment]), defers, hours)

    def test_maintenance_closes_the_door_at_that_time(self):
        for hours, codes in (4, [421]), (12, [220]):
            moment = SUNDAY + hours * 3600
            self.patch(SessionHost, "now", lambda _self, moment=moment: moment)
            self.assertEqual(self.talk("maintenance").codes, codes)

    def test_recipient_limit_counts_over_the_messages_of_a_session(self):
        talk = self.talk("recipient-limit")
        talk.send(b"HELO c")
        codes = []
        for number in range(21):
            codes += talk.send(MAIL, to(b"r%d@mvmtr.example" % number), b"RSET")[1:2]
        self.assertEqual(codes, [250] * 20 + [452])
        self.assertEqual(talk.send(MAIL, to(b"r3@mvmtr.example"), b"RSET")[1], 250)
        other = b"MAIL FROM:<other@client.example>"
        self.assertEqual(talk.send(other, to(b"r99@mvmtr.example"))[1], 250)
