"""The way to an assessor: descriptions, a local engine, complaints."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assess.client import Unavailable
from mvmtr.assess.hint import DUNNO, hint_of
from mvmtr.assess.link import Link, NoAnswer
from mvmtr.test.support import folder
from mvmtr.test.test_assess_feedback import Lines
from mvmtr.values import SettingError

QUESTION = {
    b"request": b"smtpd_access_policy",
    b"protocol_state": b"RCPT",
    b"client_address": b"203.0.113.7",
    b"sender": b"s@c.example",
    b"recipient": b"r@ours.example",
    b"mvmcas_version": b"1",
}
GREYLIST = {"greylist": "on"}


class DescriptionTests(SynchronousTestCase):
    def test_what_can_not_be(self):
        for arguments, said in (
            (("postgrey",), "--assess=postgrey: is none of tcp:"),
            (
                ("local", "memory:", {"greylist": "maybe"}),
                "greylist: 'maybe' is neither on nor off",
            ),
            (("local", "memory:", {"greylost": "on"}), "no control 'greylost'"),
        ):
            with self.assertRaisesRegex(SettingError, said):
                Link(*arguments)

    def test_what_shows_when_it_is_made(self):
        home = folder(self)
        (home / "mvmcas-block").write_text("192.0.2.1 until=yesterday\n")
        for arguments, said in (
            (("tcp:",), "--assess=tcp:: "),
            (("tcp:127.0.0.1:http-no-such:x=y",), "--assess=tcp:127.0.0.1:http-no-such:x=y: "),
            (("local", "papyrus:"), "--assess-store: 'papyrus:' is no store"),
            (("local", "memory:", {}, str(home)), "mvmcas-block:1: "),
        ):
            with self.assertRaisesRegex(SettingError, said):
                Link(*arguments).connect(Clock(), 20)

    def test_a_file_that_can_not_be_opened(self):
        link = Link("local", f"sqlite:{folder(self)}/none/mvmcas.db")
        link.connect(reactor, 20)
        with self.assertRaisesRegex(SettingError, "--assess-store: .*none/mvmcas.db"):
            link.try_store()

    def test_it_is_made_once(self):
        link = Link("local", "memory:")
        link.connect(Clock(), 20)
        first = link._assessor
        link.connect(Clock(), 20)
        self.assertIs(link._assessor, first)


class LocalTests(TestCase):
    async def link(self, *arguments, **options):
        link = Link("local", *arguments)
        for name, value in options.items():
            setattr(link, name, value)
        link.connect(reactor, 20)
        self.addCleanup(lambda: Deferred.fromCoroutine(link.close()))
        await link.open()
        return link

    async def test_an_engine_in_this_process(self):
        link = await self.link("memory:", GREYLIST)
        hint = await link.hint(QUESTION, 30)
        self.assertEqual((hint.action, hint.code), ("defer_if_permit", 450))
        self.assertTrue(link.is_mvmcas)

    async def test_it_remembers_in_a_file(self):
        store = f"sqlite:{folder(self)}/mvmcas.db"
        first = await self.link(store, GREYLIST)
        self.assertIn("not seen before", (await first.hint(QUESTION, 30)).reason)
        await first.close()
        second = await self.link(store, GREYLIST)
        self.assertIn("seen 0 s ago", (await second.hint(QUESTION, 30)).reason)

    async def test_feedback(self):
        options = {"reputation": "on", "reputation_reject": "5", "points_relay_denied": "5"}
        link = await self.link("memory:", options)
        await link.tell(
            {**QUESTION, b"request": b"mvmcas_feedback", b"mvmcas_event": b"relay_denied"}, 30
        )
        self.assertEqual((await link.hint(QUESTION, 30)).action, "reject")

    async def test_lists_of_the_control_folder(self):
        home = folder(self)
        (home / "mvmcas-block").write_text("203.0.113.0/24 no reason\n")
        link = await self.link("memory:", {}, str(home))
        self.assertEqual((await link.hint(QUESTION, 30)).action, "reject")

    async def test_a_dry_one_remembers_nothing(self):
        path = folder(self) / "mvmcas.db"
        link = await self.link(f"sqlite:{path}", GREYLIST, is_dry=True)
        for _time in range(2):
            self.assertIn("not seen before", (await link.hint(QUESTION, 30)).reason)
        self.assertFalse(path.exists())
        real = await self.link(f"sqlite:{path}", GREYLIST)
        await real.hint(QUESTION, 30)
        link = await self.link(f"sqlite:{path}", GREYLIST, is_dry=True)
        self.assertIn("seen 0 s ago", (await link.hint(QUESTION, 30)).reason)


class Moody:
    """An assessor that answers, or not."""

    is_mvmcas = True
    mood = None

    async def hint(self, attributes, timeout):
        if self.mood is not None:
            raise self.mood
        return DUNNO


class ComplaintTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.link = Link("local", "memory:")
        self.link.connect(self.clock, 20)
        self.link._assessor = self.assessor = Moody()

    def ask(self):
        return Deferred.fromCoroutine(self.link.hint(QUESTION, 10))

    def test_questions_without_an_answer_are_counted_and_told_now_and_then(self):
        self.assessor.mood = Unavailable("it sleeps")
        with Lines() as lines:
            for _number in range(30):
                self.failureResultOf(self.ask(), NoAnswer)
            self.clock.advance(61)
            self.failureResultOf(self.ask(), NoAnswer)
            self.assessor.mood = None
            self.successResultOf(self.ask())
            self.successResultOf(self.ask())
        self.assertEqual(self.link.unanswered, 31)
        self.assertEqual(
            list(lines),
            [
                "no answer from local, memory: (1 so far): it sleeps",
                "no answer from local, memory: (31 so far): it sleeps",
                "local, memory: answers again, after 61 s",
            ],
        )

    def test_answers_that_are_none(self):
        for reply in ({}, {b"action": b"SPAM"}, {b"action": b"DUNNO", b"mvmcas_error": b"full"}):
            with self.assertRaises(ValueError) as raised:
                hint_of(reply)
            self.assessor.mood = raised.exception
            self.failureResultOf(self.ask(), NoAnswer)
