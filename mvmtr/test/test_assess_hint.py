"""Tests for L{mvmtr.assess.hint}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assess.hint import (
    DUNNO,
    TEXT_MAX,
    BadAction,
    Hint,
    NoHint,
    action_of,
    hint_of,
    no_hint,
)
from mvmtr.assess.wire import AttributeReader, written
from mvmtr.session import Defer, Reject

TEXTS = st.from_regex(r"[!-9;-~]([ -~]{0,20}[!-~])?", fullmatch=True)
NUMBERS = st.integers(0, 10**9).map(str)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "relay": st.sampled_from(["yes", "no"]),
        **dict.fromkeys(("timeout", "msgsize_max", "tarpit", "greet_delay"), NUMBERS),
    },
)


def hint(action, **more):
    """The hint in a reply."""
    attributes = {f"mvmcas_{name}".encode(): value for name, value in more.items()}
    return hint_of({b"action": action, **attributes})


def said(action, **more):
    """Action, code and text of the hint in a reply."""
    found = hint(action, **more)
    return found.action, found.code, found.text


@st.composite
def hints(draw):
    """What the engine may say."""
    kind = draw(st.sampled_from(["dunno", "ok", "discard", "warn", "prepend", "reject", "defer"]))
    text = draw(TEXTS)
    code = 0
    if kind == "prepend":
        text = f"X-Header: {text}"
    elif kind == "reject":
        code, text = draw(st.integers(500, 599)), f"5.7.1 {text}"
    elif kind == "defer":
        code, text = draw(st.integers(400, 499)), f"4.7.1 {text}"
    return Hint(kind, code, text, draw(TEXTS), draw(PARAMETERS))


class HintTests(SynchronousTestCase):
    """From a reply to a hint."""

    def bad(self, action, **more):
        return str(self.assertRaises(BadAction, hint, action, **more))

    def test_dunno_and_ok(self):
        self.assertEqual(hint(b"DUNNO"), DUNNO)
        self.assertEqual(hint(b"OK"), Hint("ok"))
        self.assertEqual(hint(b"permit"), Hint("ok"))
        self.assertEqual(hint(b"12345"), Hint("ok"))
        self.assertEqual(hint(b"permit_auth_destination"), DUNNO)

    def test_reject_and_defer_with_and_without_a_text(self):
        self.assertEqual(said(b"REJECT"), ("reject", 554, ""))
        self.assertEqual(said(b"reject go away"), ("reject", 554, "go away"))
        self.assertEqual(said(b"DEFER come back"), ("defer", 450, "come back"))
        self.assertEqual(
            said(b"DEFER_IF_PERMIT 4.2.0 later"), ("defer_if_permit", 450, "4.2.0 later")
        )
        self.assertEqual(said(b"Defer_If_Reject"), ("defer_if_reject", 450, ""))

    def test_codes_of_ones_own(self):
        self.assertEqual(said(b"450"), ("defer", 450, ""))
        self.assertEqual(said(b"421 4.3.2 closing"), ("defer", 421, "4.3.2 closing"))
        self.assertEqual(said(b"550   5.1.1 nobody "), ("reject", 550, "5.1.1 nobody"))

    def test_an_enhanced_code_of_another_class_is_mended(self):
        self.assertEqual(said(b"REJECT 4.7.1 no")[2], "5.7.1 no")
        self.assertEqual(said(b"451 5.3.0 no")[2], "4.3.0 no")
        self.assertEqual(said(b"DEFER 2.0.0")[2], "4.0.0")
        self.assertEqual(said(b"REJECT 4.7 is no such code")[2], "4.7 is no such code")

    def test_other_actions(self):
        self.assertEqual(said(b"DISCARD"), ("discard", 0, ""))
        self.assertEqual(said(b"WARN look"), ("warn", 0, "look"))
        self.assertEqual(said(b"INFO look"), ("warn", 0, "look"))
        self.assertEqual(said(b"PREPEND X-A: b"), ("prepend", 0, "X-A: b"))

    def test_a_header_field_that_is_none_is_refused(self):
        for text in (b"PREPEND", b"PREPEND hello", b"PREPEND : x", b"PREPEND a b: c"):
            self.assertIn("header field", self.bad(text))

    def test_unknown_actions_are_refused(self):
        for action in (b"", b"HOLD", b"FILTER smtp:x", b"REDIRECT a@b.example", b"25O hello"):
            self.assertIn("no action that is known", self.bad(action))
        self.assertRaises(BadAction, hint_of, {})

    def test_what_can_not_stand_in_a_reply_is_replaced(self):
        self.assertEqual(said(b"REJECT 5.7.1 n\xc3\xb6\x00\r\n!")[2], "5.7.1 n?????!")

    def test_a_long_text_is_cut(self):
        self.assertLess(len(said(b"REJECT " + b"x" * 10000)[2]), TEXT_MAX)

    def test_the_reason_is_the_text_unless_there_is_another(self):
        self.assertEqual(hint(b"REJECT no").reason, "no")
        self.assertEqual(hint(b"REJECT no", reason=b"because").reason, "because")

    def test_parameters(self):
        found = hint(b"DUNNO", relay=b"yes", timeout=b"60", tarpit=b"5", unknown=b"x")
        self.assertEqual(found.parameters, {"relay": "yes", "timeout": "60", "tarpit": "5"})

    def test_parameters_that_make_no_sense_are_refused(self):
        for name, value in (
            ("relay", b"maybe"),
            ("relay", b""),
            ("timeout", b"soon"),
            ("tarpit", b"-1"),
            ("msgsize_max", b"9" * 13),
            ("greet_delay", "٣".encode()),
        ):
            self.assertIn(name, self.bad(b"DUNNO", **{name: value}))

    def test_a_server_that_does_not_know_gives_no_hint(self):
        error = self.assertRaises(NoHint, hint, b"DUNNO", error=b"disk full")
        self.assertEqual(str(error), "disk full")

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=20))
    def test_any_reply_gives_a_hint_that_can_be_followed_or_is_refused(self, action, reason, relay):
        try:
            found = hint(action, reason=reason, relay=relay)
        except BadAction:
            return
        self.assertTrue((found.text + found.reason).isascii())
        if found.action == "reject":
            Reject(found.code, found.text)
        elif found.action.startswith("defer"):
            Defer(found.code, found.text)
        else:
            self.assertEqual(found.code, 0)

    @settings(deadline=None, max_examples=300)
    @given(st.sampled_from(["450", "550", "REJECT", "DEFER"]), st.from_regex(r"[0-9.]{1,9} ?x?"))
    def test_any_enhanced_code_can_stand_in_the_reply(self, action, text):
        found = hint(f"{action} {text}".encode())
        kind = Reject if found.action == "reject" else Defer
        kind(found.code, found.text)


class ActionTests(SynchronousTestCase):
    """From a hint to a reply."""

    @settings(deadline=None, max_examples=300)
    @given(hints())
    def test_an_extended_questioner_gets_all_of_a_hint(self, given_hint):
        (reply,) = AttributeReader().feed(written(action_of(given_hint, extended=True)))
        self.assertEqual(hint_of(reply), given_hint)

    def test_postfix_gets_the_action_alone(self):
        full = Hint("reject", 554, "5.7.1 no", "because", {"tarpit": "5"})
        self.assertEqual(action_of(full, extended=False), {b"action": b"554 5.7.1 no"})
        self.assertEqual(action_of(Hint("ok", reason="why"), False), {b"action": b"OK"})
        grey = Hint("defer_if_permit", 450, "4.7.1 later")
        self.assertEqual(action_of(grey, False), {b"action": b"DEFER_IF_PERMIT 4.7.1 later"})

    def test_only_an_extended_questioner_is_told_that_there_is_no_hint(self):
        self.assertEqual(hint_of(no_hint("disk full", extended=False)), DUNNO)
        self.assertRaises(NoHint, hint_of, no_hint("disk full", extended=True))
