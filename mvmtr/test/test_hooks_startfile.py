"""Tests for L{mvmtr.hooks.startfile}: hooks in a session."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from mvmtr import resolver as resolver_module
from mvmtr.hooks.startfile import StartFile
from mvmtr.mfl.errors import MflErrors
from mvmtr.settings import Settings
from mvmtr.test.stand_ins import MAIL, RCPT, Takes, conversation, talk_with
from mvmtr.test.support import folder


class Names:
    """A resolver that knows what it was told."""

    def __init__(self, **addresses):
        self.addresses = addresses

    def lookupAddress(self, name):
        answer = self.addresses.get(name.decode(), DNSNameError("none"))
        if isinstance(answer, Exception):
            return fail(answer)
        if isinstance(answer, Deferred):
            return answer
        return succeed(([dns.RRHeader(payload=dns.Record_A(answer))], [], []))

    def lookupIPV6Address(self, name):
        return succeed(([], [], []))


class HookTests(SynchronousTestCase):
    """Each hook is asked at its stage, and what it says holds."""

    def start(self, text, resolver=None):
        path = folder(self) / "mvmtr.mfl"
        path.write_text(text)
        self.path = str(path)
        if resolver is not None:
            self.patch(resolver_module, "resolver_for", lambda server, reactor: resolver)
        return StartFile(self.path, Settings(), Clock())

    def talk(self, text, resolver=None, **settings):
        self.queue = Takes()
        return talk_with(self.start(text, resolver), queue=self.queue, **settings)

    def test_each_hook_can_refuse_at_its_stage(self):
        for stage, codes in {
            "connect()": [550],
            "helo(string name)": [220, 550, 250, 250, 354, 250],
            "mail(string sender)": [220, 250, 550, 503, 503],
            "rcpt(string recipient)": [220, 250, 250, 550, 503],
            "data()": [220, 250, 250, 250, 550],
            "message()": [220, 250, 250, 250, 354, 550],
        }.items():
            talk = self.talk(
                "int $hook_%s { return $reject(550, '5.7.1 no'); }".replace("'", '"') % stage
            )
            self.assertEqual(conversation(talk), codes, stage)

    def test_a_hook_that_is_undecided_leaves_it_to_the_others(self):
        talk = self.talk("int $hook_rcpt(string recipient) { return 0; }")
        self.assertEqual(conversation(talk), [220, 250, 250, 250, 354, 250])

    def test_a_hook_can_accept_what_the_others_would_not(self):
        talk = self.talk(
            "int $hook_rcpt(string r)"
            ' { if ($domain(r) == "lists.example") return $accept(); return 0; }'
        )
        codes = talk.codes + talk.send(
            b"HELO c", MAIL, b"RCPT TO:<a@lists.example>", b"RCPT TO:<a@x>"
        )
        self.assertEqual(codes, [220, 250, 250, 250, 553])

    def test_a_reason_is_the_line_of_the_file(self):
        talk = self.talk('int $hook_helo(string name)\n{\n  return $reject(550, "no");\n}\n')
        asked = []
        talk.receiver.session.witness = lambda *what: asked.append(what)
        talk.send(b"HELO c")
        (name, _stage, verdict), *_others = asked
        self.assertEqual((name, verdict.reason), ("mfl", f"{self.path}:3"))

    def test_an_error_while_a_hook_runs_is_451_and_the_session_goes_on(self):
        talk = self.talk("int $hook_mail(string sender) { return 1 / $length(sender); }")
        codes = talk.codes + talk.send(b"MAIL FROM:<>", b"MAIL FROM:<>", b"NOOP")
        self.assertEqual(codes, [220, 451, 451, 250])

    def test_a_look_up_suspends_the_hook_and_not_the_server(self):
        answer = Deferred()
        resolver = Names(**{"host.example": answer})
        talk = self.talk(
            "int $hook_helo(string name) { if ($length($dns_a(name)) > 0) return 0;"
            ' return $reject(550, "5.7.1 unknown"); }',
            resolver,
        )
        other = talk_with(self.start("int $hook_connect() { return 0; }"))
        self.assertEqual(talk.send(b"HELO host.example"), [220])
        self.assertEqual(conversation(other)[-1], 250)
        answer.callback(([dns.RRHeader(payload=dns.Record_A("192.0.2.1"))], [], []))
        self.assertEqual(talk.codes, [250])
        self.assertEqual(talk.send(b"HELO none.example"), [550])

    def test_a_dns_in_trouble_is_451(self):
        resolver = Names(**{"host.example": DNSServerError("trouble")})
        talk = self.talk("int $hook_helo(string name) { $dns_a(name); return 0; }", resolver)
        self.assertEqual(talk.codes + talk.send(b"HELO host.example"), [220, 451])

    def test_globals_live_as_long_as_the_session(self):
        text = (
            "int count = 0;"
            "int $hook_mail(string s)"
            ' { count++; if (count > 2) return $reject(550, "no"); return 0; }'
        )
        talk = self.talk(text)
        self.assertEqual(talk.codes + talk.send(MAIL, MAIL, MAIL), [220, 250, 250, 550])
        check = talk.receiver.configuration.policy.checks[0]
        self.assertEqual(len(check._globals), 1)

    def test_notes_live_as_long_as_the_transaction(self):
        text = (
            'int $hook_connect() { $set_note("a", "1"); return 0; }'
            'int $hook_mail(string s) { if ($note("b") != "") return $reject(550, "old");'
            ' $set_note("b", $note("a")); return 0; }'
            'int $hook_rcpt(string r) { if ($note("b") == "1") return $accept(); return 0; }'
        )
        talk = self.talk(text)
        elsewhere = b"RCPT TO:<a@elsewhere.example>"
        self.assertEqual(talk.codes + talk.send(MAIL, elsewhere, MAIL), [220, 250, 250, 250])

    def test_the_right_to_relay_can_be_given_and_taken(self):
        talk = self.talk(
            'int $hook_helo(string name) { $set_relaying(name == "friend"); return 0; }'
        )
        elsewhere = b"RCPT TO:<a@elsewhere.example>"
        codes = talk.codes + talk.send(
            b"HELO friend", MAIL, elsewhere, b"HELO foe", MAIL, elsewhere
        )
        self.assertEqual(codes, [220, 250, 250, 250, 250, 250, 553])

    def test_a_sieve_file_is_a_startup_file(self):
        talk = self.talk(
            'require "reject";\nif header :contains "Subject" "hello" { reject "no greetings"; }\n'
        )
        self.assertEqual(conversation(talk)[-1], 250)
        talk.send(b"RSET", MAIL, RCPT, b"DATA")
        self.assertEqual(talk.feed(b"Subject: hello\r\n\r\nx\r\n.\r\n"), [550])

    def test_header_edits_reach_the_queue(self):
        talk = self.talk(
            'require "editheader";\naddheader "X-Seen" "yes";\ndeleteheader "Subject";\n'
        )
        talk.send(b"HELO c", MAIL, RCPT, b"DATA")
        talk.feed(b"Subject: x\r\nTo: y\r\n\r\nbody\r\n\r\nmore\r\n.\r\n")
        ((_recipients, stored),) = self.queue.messages
        self.assertEqual(stored, b"X-Seen: yes\nTo: y\n\nbody\n\nmore\n")

    def test_redirect_adds_a_recipient(self):
        talk = self.talk('redirect "archive@mvmtr.example";')
        conversation(talk)
        ((recipients, _stored),) = self.queue.messages
        self.assertEqual(recipients, (b"r@mvmtr.example", b"archive@mvmtr.example"))

    def test_discard_takes_and_drops(self):
        talk = self.talk("discard;")
        self.assertEqual(conversation(talk)[-1], 250)
        self.assertEqual(self.queue.messages, [])

    def test_files_are_relative_to_the_startup_file_and_read_again(self):
        text = (
            "int $hook_mail(string s)"
            ' { if ($file_has("bad", s)) return $reject(553, "bad"); return 0; }'
        )
        talk = self.talk(text)
        bad = os.path.join(os.path.dirname(self.path), "bad")
        self.assertEqual(talk.codes + talk.send(MAIL), [220, 451])
        for content, code in ("s@client.example\n", 553), ("somebody else\n", 250):
            with open(bad, "w") as file:
                file.write(content)
            self.assertEqual(talk.send(MAIL), [code])

    def test_a_client_is_looked_up_in_a_dns_list(self):
        listed = Names(**{"7.113.0.203.list.example": "127.0.0.2"})
        text = (
            "int $hook_connect()"
            ' { if ($dnsbl("list.example") != "") return $reject(554, "listed"); return 0; }'
        )
        self.assertEqual(conversation(self.talk(text, listed))[0], 554)
        self.assertEqual(conversation(self.talk(text, Names()))[0], 220)


class ControlTests(SynchronousTestCase):
    """What a file sets."""

    def start(self, text):
        path = folder(self) / "mvmtr.mfl"
        path.write_text(text)
        return StartFile(str(path), Settings(), None)

    def test_values_are_those_of_the_table_of_controls(self):
        start = self.start(
            'control smtp_server_timeout 60;\ncontrol smtp_server_greeting ["one", "two"];\n'
            'control smtp_server_rcpt_users "on";\ncontrol smtp_server_auth_insecure 1;\n'
            'control smtp_server_rcpt_domains "a.example b.example";\n'
        )
        self.assertEqual(
            start.values,
            {
                "smtp_server_timeout": 60,
                "smtp_server_greeting": (b"one", b"two"),
                "smtp_server_rcpt_users": True,
                "smtp_server_auth_insecure": True,
                "smtp_server_rcpt_domains": (b"a.example", b"b.example"),
            },
        )
        self.assertTrue(start.origins["smtp_server_greeting"].endswith("mvmtr.mfl:2"))

    def test_a_value_that_a_control_can_not_have_is_an_error_with_its_place(self):
        for text in (
            "control smtp_server_timeout 0;",
            'control smtp_server_timeout "60";',
            'control usehostname "a b";',
            "control smtp_server_rcpt_users 2;",
            "control no_such_control 1;",
        ):
            error = self.assertRaises(MflErrors, self.start, text)
            self.assertIn("mvmtr.mfl:1:", str(error))
