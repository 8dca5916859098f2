"""
Tests for Sieve as part of MFL: what its actions come to, what it shares with the C-like side,
and what hostile scripts and messages can do. Its tests and commands one by one are tested
in C{mfl/svtest}.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import LimitReached, RunError
from mvmtr.mfl.program import Limits, Program
from mvmtr.mfl.runtime import Run
from mvmtr.mfl.specs import registry
from mvmtr.test.mfl.running import call, host, program, wrong

quickly = settings(deadline=None, max_examples=60)

CAPABILITIES = (
    "body comparator-i;ascii-casemap comparator-i;ascii-numeric comparator-i;octet copy date "
    "editheader encoded-character envelope environment ereject ihave include index regex reject "
    "relational spamtest spamtestplus subaddress variables virustest"
)


def verdict(source: str, **values: Any) -> tuple[str, bytes, int] | None:
    """Kind, text and line of the verdict of a file on a message."""
    outcome, _host = call(source, **values)
    if outcome.verdict is None:
        return None
    return outcome.verdict.kind, outcome.verdict.text, outcome.verdict.place.line


class ActionTests(SynchronousTestCase):
    """What actions mean while a message is received."""

    def test_a_file_that_is_nothing_but_sieve_acts_on_the_message(self) -> None:
        source = 'require "reject";\nif header "subject" "hello" {\n  reject "go away";\n}\n'
        self.assertEqual(verdict(source), ("reject", b"5.7.1 go away", 3))
        self.assertIsNone(verdict(source, message=b"Subject: other\n\n"))

    def test_discard_accepts_and_drops(self) -> None:
        self.assertEqual(verdict("discard;"), ("discard", b"", 1))
        self.assertIsNone(verdict("discard; keep;"))
        self.assertIsNone(verdict("keep;"))

    def test_stop_ends_the_hook(self) -> None:
        self.assertEqual(
            verdict(
                "discard; stop; keep;",
            ),
            ("discard", b"", 1),
        )

    def test_redirect_adds_recipients(self) -> None:
        outcome, _host = call('redirect "A <a@example.org>"; redirect "b@example.org";')
        self.assertIsNone(outcome.verdict)
        assert outcome.result is not None
        self.assertEqual(outcome.result.redirects, (b"a@example.org", b"b@example.org"))
        self.assertFalse(outcome.result.kept)

    def test_nothing_dangerous_gets_into_the_envelope(self) -> None:
        for address in (
            "a\0b@c",
            "a@b\nc",
            "a@b\rc",
            '\\"a\nb\\"@c',
            "a",
            "a@b, c@d",
            "a" * 2000 + "@b",
        ):
            self.assertEqual(len(wrong(f'redirect "{address}";')), 1, address)
            source = 'int f( string a ) { redirect "${a}"; return 0; } '
            source += "int $hook_rcpt( string r ) { return f( r ); }"
            text = address.replace('\\"', '"').encode()
            self.assertRaises(RunError, call, source, hook="rcpt", arguments=[text])

    def test_a_copy_keeps_the_message_too(self) -> None:
        outcome, _host = call('require "copy"; redirect :copy "a@example.org";')
        assert outcome.result is not None
        self.assertTrue(outcome.result.kept)

    def test_edits_of_the_header_are_what_the_queue_gets(self) -> None:
        outcome, _host = call(
            'require "editheader"; addheader "X-A" "b"; deleteheader "from";',
            message=b"Subject: x\nFrom: a@b\n\nbody\n",
        )
        assert outcome.message is not None
        self.assertEqual(outcome.message.header(), b"X-A: b\nSubject: x\n")

    def test_a_value_that_is_too_long_is_cut_behind_a_character(self) -> None:
        source = 'require "editheader"; addheader "X-A" "' + "é" * 3000 + '";'
        for setting, length in (
            (b"1K", 512),
            (b"1500", 750),
            (b"10", 512),
            (b"", 1024),
            (b"x", 1024),
        ):
            settings_ = {b"sieve_editheader_max_header_size": setting}
            outcome, _host = call(source, settings=settings_)
            assert outcome.message is not None
            (value,) = outcome.message.values(b"x-a")
            self.assertEqual(value.decode(), "é" * length)

    def test_actions_in_a_hook_of_the_session_refuse_there(self) -> None:
        source = 'int $hook_connect() {\n  reject "no";\n  return 0;\n}'
        self.assertEqual(verdict(source, hook="connect"), ("reject", b"5.7.1 no", 2))

    def test_what_needs_a_message_is_refused_in_a_hook_that_has_none(self) -> None:
        for command in (
            'if header "a" "b" {}',
            'if body "a" {}',
            "if size :over 1 {}",
            'if exists "a" {}',
            'addheader "a" "b";',
            'deleteheader "a";',
            'if date "date" "year" "1" {}',
            'if spamtest "1" {}',
        ):
            found = wrong(f"int $hook_rcpt( string r ) {{ {command} return 0; }}")
            self.assertEqual(len(found), 1, command)
            self.assertEqual(wrong(f"int $hook_message() {{ {command} return 0; }}"), [])

    def test_what_needs_a_transaction_is_refused_before_there_is_one(self) -> None:
        for command in ('if envelope "from" "b" {}', 'redirect "a@b";'):
            self.assertEqual(len(wrong(f"int $hook_connect() {{ {command} return 0; }}")), 1)
            self.assertEqual(wrong(f"int $hook_rcpt( string r ) {{ {command} return 0; }}"), [])

    def test_an_error_while_a_script_runs_has_its_place(self) -> None:
        source = 'require ["reject"];\nreject "a";\n\n  keep;\n'
        error = self.assertRaises(RunError, call, source)
        self.assertEqual((error.place.line, error.place.column), (4, 3))


class TogetherTests(SynchronousTestCase):
    """What the two sides of the language share."""

    def test_a_test_is_an_int(self) -> None:
        source = """
            int $hook_message() {
                if ( test( header :contains "Subject" ["winner", "hello"] ) && 1 )
                    return $defer( 451, "4.7.1 later" );
                return 0;
            }
        """
        self.assertEqual(verdict(source), ("defer", b"4.7.1 later", 4))

    def test_variables_of_mfl_are_visible_in_sieve(self) -> None:
        source = """
            string word = "hello";
            list words = ["x", "hello"];
            int number = 3;
            int $hook_message() {
                string own = word;
                if not header "subject" "${own}" { stop; }
                if not header "subject" ["${words}"] { stop; }
                if not string "a${number}${nothing}" "a3" { stop; }
                discard;
                return 0;
            }
        """
        outcome, _host = call(source)
        assert outcome.verdict is not None
        self.assertEqual(outcome.verdict.kind, "discard")

    def test_match_variables_reach_a_variable_of_mfl(self) -> None:
        source = """
            int $hook_message() {
                string word;
                if header :matches "subject" "h*o" { set "word" "${1}"; }
                if ( word == "ell" ) return $discard();
                return 0;
            }
        """
        self.assertEqual(verdict(source)[0], "discard")  # type: ignore[index]

    def test_all_capabilities_are_there(self) -> None:
        known = registry().capabilities
        for name in CAPABILITIES.split():
            self.assertIn(name, known)
            self.assertFalse(known[name].refused, name)
            self.assertEqual(wrong(f'require "{name}"; keep;'), [])

    def test_what_makes_no_sense_before_delivery_is_refused_by_name(self) -> None:
        for name in ("fileinto", "vacation", "imap4flags", "mailbox", "duplicate"):
            (found,) = wrong(f'require "{name}"; keep;')
            self.assertIn(f'"{name}" makes no sense here', found)
        self.assertIn("fileinto makes no sense here", wrong('fileinto "x";')[0])


class HostileTests(SynchronousTestCase):
    """What scripts and messages can't do."""

    def test_a_loop_of_tests_is_ended(self) -> None:
        message = b"Subject: " + b"x" * 50_000 + b"\n\n" + b"y" * 200_000
        for test in (
            'header :contains "subject" "z"',
            'header :matches "subject" "*?z*"',
            'header :regex "subject" "(x*)*z"',
            'address "to" "z"',
            'body :raw :contains "z"',
            'body "z"',
            'currentdate "year" "1"',
            'date "date" "year" "1"',
            'exists "x-none"',
            'environment "name" "x"',
            'spamtest "9"',
        ):
            source = f"int $hook_message() {{ while ( !test( {test} ) ) ; return 0; }}"
            self.assertRaises(LimitReached, call, source, message=message)

    def test_a_dear_expression_on_a_large_body_is_ended(self) -> None:
        source = 'require ["body", "regex"]; if body :raw :regex "((.{0,30}){0,30})*z" {}'
        self.assertRaises(LimitReached, call, source, message=b"A: b\n\n" + b"y" * 1_000_000)

    def test_expressions_made_without_end_are_ended(self) -> None:
        source = """
            int $hook_message() {
                int i;
                while ( 1 ) { i++; if header :regex "subject" "(${i}.{0,30}){0,10}" {} }
                return 0;
            }
        """
        self.assertRaises(LimitReached, call, source)

    def test_edits_and_actions_without_end_are_ended(self) -> None:
        for command in (
            'addheader "X-A" "b";',
            'addheader "X-A" "b"; deleteheader "X-A";',
            'set "a" "${a}${a}x";',
            'set :quotewildcard "a" "${a}*";',
        ):
            source = f"int $hook_message() {{ while ( 1 ) {{ {command} }} return 0; }}"
            self.assertRaises(LimitReached, call, source)

    def test_a_redirect_for_each_turn_of_a_loop_is_ended(self) -> None:
        source = 'int $hook_message() { int i; while ( 1 ) { i++; redirect "a${i}@b"; } return 0; }'
        self.assertRaises(RunError, call, source)

    def test_large_messages_are_no_trouble(self) -> None:
        source = """
            require ["body", "regex", "date", "variables", "editheader"];
            if body :contains ["needle", "pin"] { discard; }
            if body :content "text" :matches "*needle*" { discard; }
            if body :raw :regex "need(le|y)" { discard; }
            if header :matches "subject" "*a?a?a?b*" { discard; }
            if address :contains ["from", "to", "cc"] "nobody" { discard; }
            if date "received" "year" "1900" { discard; }
            addheader "X-Seen" "yes";
        """
        for header in (
            b"Subject: " + b"a" * 1_000_000,
            b"To: " + b"a@b, " * 100_000,
            b"To: " + b"(" * 500_000,
            b"Received: from a; Sun, 22 Nov 2026 23:30:05 +0100\n" * 5_000 + b"X: y",
            b"Subject: " + b"=?utf-8?q?a?= " * 50_000,
            b"X: y\n" * 100_000 + b"X: y",
            b"Content-Type: multipart/mixed; boundary=x",
        ):
            message = header + b"\n\n" + b"--x\n\nhay\n" * 200_000
            outcome, _host = call(source, message=message)
            self.assertIsNone(outcome.verdict)
            assert outcome.message is not None
            self.assertTrue(outcome.message.header().startswith(b"X-Seen: yes\n"))

    def test_a_body_that_is_decoded_once_is_not_decoded_again(self) -> None:
        tests = "".join(f'if body "x{number}y" {{ discard; }}\n' for number in range(100))
        message = b"Content-Transfer-Encoding: base64\n\n" + b"YWFh\n" * 100_000
        outcome, _host = call(f'require "body";\n{tests}', message=message)
        self.assertIsNone(outcome.verdict)

    @quickly
    @given(st.binary(max_size=300))
    def test_any_message_can_be_tested(self, message: bytes) -> None:
        outcome, _host = call(_everything(), message=message)
        self.assertIsNone(outcome.verdict)

    @quickly
    @given(
        st.binary(max_size=20),
        st.binary(max_size=20),
        st.sampled_from(["is", "contains", "matches", "regex"]),
    )
    def test_any_key_and_value_can_be_compared(self, value: bytes, key: bytes, how: str) -> None:
        run = Run(host(), Limits())
        try:
            _comparing(how).execute("f", run, (value, key))
        except RunError as error:
            self.assertIn("pattern is wrong", str(error))


@cache
def _comparing(how: str) -> Program:
    return program(
        f'int f( string v, string k ) {{ if string :{how} "${{v}}" "${{k}}" {{}} return 0; }}'
        "int $hook_helo( string name ) { return f( name, name ); }"
    )


@cache
def _everything() -> Program:
    return program(EVERYTHING)


EVERYTHING = """
require ["body", "regex", "date", "variables", "editheader", "relational", "index", "envelope",
         "subaddress", "environment", "comparator-i;ascii-numeric", "spamtest"];
if header :matches ["subject", "from", "x"] "*?=*?" { set "a" "${1}${2}${3}"; }
if header :regex ["subject", "from", "x"] "(.)(.*)" { set "a" "${1}${2}${3}"; }
if address :matches ["from", "to"] "*@*" { set "a" "${1}${2}"; }
if address :user ["from", "to"] "a" {}
if address :detail :count "ge" :comparator "i;ascii-numeric" ["from", "to"] "3" {}
if header :index 1 :last :value "gt" ["subject", "x"] "m" {}
if body :text :contains "a" {}
if body :content ["text", "multipart", "message"] :contains "a" {}
if body :raw :regex "a+b" {}
if date :originalzone "date" "iso8601" "x" {}
if date :zone "-0500" "received" "julian" "x" {}
if currentdate :value "lt" "year" "1990" { discard; }
if envelope :matches "from" "*" {}
if exists ["subject", "from"] {}
if size :over 1K {}
set :length :upper :quotewildcard "b" "${a}";
deleteheader :matches "x" "*a*";
deleteheader :index 2 "from";
addheader "X-Seen" "${b}";
"""
