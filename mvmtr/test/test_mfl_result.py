"""Tests for what Sieve's actions come to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import Place
from mvmtr.mfl.sieve.result import Action, Conflict, Result

PLACE = Place("x", 3, 1)


def result(*actions: Action) -> Result:
    """A result with some actions."""
    made = Result()
    for action in actions:
        made.add(action)
    return made


def redirect(address: bytes, copy: bool = False) -> Action:
    """A redirect."""
    return Action("redirect", address, copy)


class ResultTests(SynchronousTestCase):
    """The actions of one run."""

    def test_nothing_done_is_nothing_decided(self) -> None:
        self.assertTrue(result().kept)
        self.assertIsNone(result().verdict())
        self.assertIsNone(result(Action("keep")).verdict())

    def test_discard_discards_unless_something_keeps(self) -> None:
        verdict = result(Action("discard", place=PLACE)).verdict()
        assert verdict is not None
        self.assertEqual((verdict.kind, verdict.place), ("discard", PLACE))
        self.assertIsNone(result(Action("discard"), Action("keep")).verdict())

    def test_reject_refuses_in_one_line_of_ascii(self) -> None:
        verdict = result(Action("reject", "no\r\n  thänks\0\n".encode(), place=PLACE)).verdict()
        assert verdict is not None
        self.assertEqual((verdict.kind, verdict.code), ("reject", 550))
        self.assertEqual((verdict.text, verdict.place), (b"5.7.1 no th?nks?", PLACE))

    def test_a_text_may_have_a_status_code_of_its_own(self) -> None:
        for text, reply in (
            (b"5.1.1 no such user", b"5.1.1 no such user"),
            (b"4.1.1 later", b"5.7.1 4.1.1 later"),
            (b"5.1 x", b"5.7.1 5.1 x"),
        ):
            verdict = result(Action("reject", text)).verdict()
            assert verdict is not None
            self.assertEqual(verdict.text, reply)

    def test_redirects_are_as_an_envelope_has_them(self) -> None:
        made = result(redirect(b'"a b"@c'), redirect(b"d@e"))
        self.assertEqual(made.redirects, (b"a b@c", b"d@e"))

    def test_a_reply_is_never_empty_and_never_long(self) -> None:
        for text in (b"", b"\n", b"x" * 5000):
            verdict = result(Action("reject", text)).verdict()
            assert verdict is not None
            self.assertTrue(10 < len(verdict.text) < 420)

    def test_a_message_that_is_only_redirected_is_not_discarded(self) -> None:
        made = result(redirect(b"a@b"))
        self.assertFalse(made.kept)
        self.assertIsNone(made.verdict())
        self.assertEqual(made.redirects, (b"a@b",))

    def test_a_copy_leaves_the_implicit_keep(self) -> None:
        self.assertTrue(result(redirect(b"a@b", copy=True)).kept)
        self.assertFalse(result(redirect(b"a@b", copy=True), Action("discard")).kept)

    def test_an_action_counts_once(self) -> None:
        self.assertEqual(len(result(*[redirect(b"a@b")] * 9, *[Action("keep")] * 9).actions), 2)

    def test_redirects_and_actions_have_a_limit(self) -> None:
        made = result(*(redirect(b"%d@b" % number) for number in range(4)))
        self.assertRaises(Conflict, made.add, redirect(b"9@b"))
        made.add(redirect(b"9@b"), redirects_max=5)
        self.assertRaises(Conflict, made.add, Action("keep"), 5, 5)

    def test_what_is_rejected_is_not_delivered_too(self) -> None:
        reject = Action("reject", b"x")
        for other in (Action("keep"), redirect(b"a@b"), Action("reject", b"y")):
            self.assertRaises(Conflict, result, reject, other)
            self.assertRaises(Conflict, result, other, reject)
        verdict = result(Action("discard"), reject).verdict()
        assert verdict is not None
        self.assertEqual(verdict.kind, "reject")
