"""Tests of what a postmaster may do."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assess import admin
from mvmtr.assess.admin import ROOM, Admin, entries_in, with_entries
from mvmtr.assess.engine import Engine
from mvmtr.assess.question import Event, Feedback, Question, State
from mvmtr.assess.records import Record
from mvmtr.assess.rules import ACTIONS
from mvmtr.assess.service import Assessment
from mvmtr.assess.stores import StoreError
from mvmtr.assess.stores.memory import MemoryStore
from mvmtr.assess.stores.sqlite import SqliteStore
from mvmtr.assess.wire import REQUEST_MAX, AttributeReader, written
from mvmtr.test.assess_stores import Now, put, scan
from mvmtr.test.documentation import watch
from mvmtr.test.redis_server import RedisServer
from mvmtr.test.support import folder
from mvmtr.test.test_assess_entries import EVERYTHING

NETWORK = '{"rule":"block","subject":"192.0.2.0/24","reason":"scans"}'


class AdminCase:
    """An administrator of a store."""

    def make(self, store, files=None, now=None):
        self.now = now or Now()
        self.store = store
        self.assessment = Assessment(Engine(EVERYTHING), self.store, reactor, self.now)
        self.admin = Admin(self.assessment, files, self.now)

    async def call(self, name, *entries, **attributes):
        """What comes back, once it went over the wire and back."""
        request = {
            b"request": b"mvmcas_admin",
            b"mvmcas_command": name.encode(),
            **{b"mvmcas_" + key.encode(): value.encode() for key, value in attributes.items()},
        }
        if entries:
            request |= with_entries(list(entries))
        (request,) = AttributeReader().feed(written(request))
        answer = written(await self.admin.answer(request))
        self.assertLessEqual(len(answer), REQUEST_MAX)
        (answer,) = AttributeReader().feed(answer)
        return answer

    async def done(self, name, *entries, **attributes):
        """What comes back; it must not be an error."""
        answer = await self.call(name, *entries, **attributes)
        self.assertNotIn(b"mvmcas_error", answer)
        return answer

    async def lines(self, name, **attributes):
        """All entries of an answer that has maybe many parts."""
        lines = []
        while True:
            answer = await self.done(name, **attributes)
            lines += entries_in(answer)
            if b"mvmcas_cursor" not in answer:
                return lines
            attributes = {"cursor": answer[b"mvmcas_cursor"].decode()}

    async def assert_error(self, said, name, *entries, **attributes):
        answer = await self.call(name, *entries, **attributes)
        self.assertIn(said, answer[b"mvmcas_error"].decode())

    async def hint(self, client=b"192.0.2.7", state=State.CONNECT, **more):
        return await self.assessment.ask(Question(state, client, **more))


class AnyStore(AdminCase):
    """What can be done with every store."""

    async def test_a_rule_holds_at_once_and_is_listed(self):
        await self.done("put", NETWORK)
        self.assertEqual((await self.hint()).code, 554)
        self.assertEqual(await self.lines("list", prefix="rule "), [NETWORK])

    async def test_what_is_about_a_subject_is_forgotten(self):
        await self.done("put", NETWORK)
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        question = {"sender": b"s@x.example", "recipient": b"r@ours.example"}
        await self.hint(b"198.51.100.7", State.RCPT, **question)
        kept = {key.partition(" ")[0] for key in await scan(self.store, "")}
        self.assertEqual(kept, {"rule", "client", "network", "grey", "recipients"})
        answer = await self.done("forget", subject="192.0.2.0/24")
        self.assertEqual(answer[b"mvmcas_count"], b"2")
        answer = await self.done("forget", subject="198.51.100.0/24")
        self.assertEqual(answer[b"mvmcas_count"], b"1")
        self.assertEqual(
            set(await scan(self.store, "")), {"client 192.0.2.7", "recipients 198.51.100.7"}
        )

    async def test_all_that_is_known_is_shown(self):
        await self.done("put", NETWORK)
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        question = {"sender": b"s@x.example", "recipient": b"r@ours.example"}
        await put(self.store, {"grey 192.0.2.0/24 s@x.example r@y": Record({"first": 1.0})})
        await self.hint(b"192.0.2.7", State.RCPT, **question)
        shown = [json.loads(line) for line in await self.lines("show", subject="192.0.2.7")]
        found = [entry.get("key") or entry["subject"] for entry in shown]
        self.assertEqual(
            sorted(found),
            ["192.0.2.0/24", "client 192.0.2.7", "grey 192.0.2.0/24 s@x.example r@y",
             "network 192.0.2.0/24"],
        )  # fmt: skip

    async def test_a_list_that_is_long_comes_in_parts(self):
        rules = {
            f'{{"rule":"block","subject":"x{number}.example","reason":"{"é" * 100}"}}'
            for number in range(700)
        }
        rules = {json.dumps(json.loads(rule), separators=(",", ":")) for rule in rules}
        for start in range(0, 700, 50):
            await self.done("put", *sorted(rules)[start : start + 50])
        listed = await self.lines("list", prefix="rule ")
        self.assertEqual(set(listed), rules)
        answer = await self.done("forget", subject="x7.example")
        self.assertEqual(answer[b"mvmcas_count"], b"1")


class MemoryTests(AnyStore, TestCase):
    """With records in memory; and what does not depend on the store."""

    def setUp(self):
        self.make(MemoryStore(reactor, now=(now := Now())), now=now)

    async def test_a_command_that_is_not_known_is_an_error(self):
        await self.assert_error("bless", "bless")
        await self.assert_error("''", "")

    async def test_all_entries_are_kept_or_none(self):
        await self.assert_error("entry 2: ", "put", NETWORK, '{"rule":"bless"}')
        self.assertEqual(await self.store.count(), 0)

    async def test_what_is_over_is_not_kept(self):
        answer = await self.done(
            "put", NETWORK, '{"rule":"block","subject":"x.example","until":"2001-01-01"}'
        )
        self.assertEqual(answer[b"mvmcas_count"], b"1")
        self.assertEqual(await self.store.count(), 1)

    async def test_nothing_to_put_is_nothing(self):
        self.assertEqual((await self.done("put"))[b"mvmcas_count"], b"0")

    async def test_every_action_has_its_effect(self):
        subjects = {"relay": "192.0.2.7", "trap": "old@ours.example"}
        for action in ACTIONS:
            subject = subjects.get(action, "192.0.2.0/24")
            await self.done("put", json.dumps({"rule": action, "subject": subject}))
        self.assertEqual(dict((await self.hint(extended=True)).parameters), {"relay": "yes"})
        await self.hint(b"203.0.113.9", State.RCPT, recipient=b"Old@Ours.example")
        self.assertIn("client 203.0.113.9", await scan(self.store, "client "))

    async def test_only_the_rule_is_forgotten_if_so_wanted(self):
        await self.done("put", NETWORK)
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        await self.done("forget", subject="192.0.2.0/24", only="rules")
        self.assertEqual(
            set(await scan(self.store, "")), {"client 192.0.2.7", "network 192.0.2.0/24"}
        )

    async def test_a_subject_that_is_none_is_an_error(self):
        for command in ("forget", "show"):
            await self.assert_error("a b", command, subject="a b")
            await self.assert_error("''", command)

    async def test_points_are_shown_as_they_are_now(self):
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        self.now.time += EVERYTHING.reputation_half_life
        first, second = await self.lines("show", subject="192.0.2.7")
        self.assertEqual(json.loads(first)["points_now"], 10.0)
        self.assertEqual(json.loads(second)["points_now"], 2.0)

    async def test_rules_of_files_are_listed_and_shown_and_stay(self):
        place = {"action": "block", "reason": "", "file": "mvmcas-block:3"}
        self.make(MemoryStore(reactor), lambda: {"rule network 192.0.2.0/24": Record(place)})
        (line,) = await self.lines("list", prefix="rule ")
        self.assertEqual(json.loads(line)["file"], "mvmcas-block:3")
        self.assertEqual(await self.lines("show", subject="192.0.2.7"), [line])
        answer = await self.done("forget", subject="192.0.2.0/24")
        self.assertEqual(answer[b"mvmcas_note"], b"mvmcas-block:3 stays")
        answer = await self.done("put", NETWORK)
        self.assertIn(b"mvmcas-block:3", answer[b"mvmcas_note"])

    async def test_a_list_that_is_over_or_too_old_cant_go_on(self):
        self.patch(admin, "WALKS_MAX", 2)
        self.patch(admin, "ROOM", 50)
        await self.done("put", NETWORK, NETWORK.replace("192.0.2", "198.51.100"))
        cursors = [(await self.done("list"))[b"mvmcas_cursor"].decode() for _time in range(3)]
        await self.assert_error("begin again", "list", cursor=cursors[0])
        for cursor in cursors[1:]:
            self.assertEqual(len(await self.lines("list", cursor=cursor)), 1)
            await self.assert_error("begin again", "list", cursor=cursor)

    async def test_the_largest_entries_fit(self):
        entry = {"rule": "block", "subject": f"{'é' * 100}@x.example", "reason": "é" * 500}
        await self.done("put", json.dumps(entry))
        (line,) = await self.lines("list")
        self.assertLess(len(line), ROOM)

    async def test_a_store_that_does_not_work_is_told(self):
        def fail(*_arguments):
            raise StoreError("no disk")

        for name in ("transact", "scan", "count"):
            self.patch(self.store, name, fail)
        await self.assert_error("no disk", "put", NETWORK)
        for command in ("list", "show", "forget", "top"):
            await self.assert_error("no disk", command, subject="192.0.2.7")

    async def test_an_error_in_the_program_is_told_without_details(self):
        self.patch(self.store, "scan", lambda *_arguments: 1 / 0)
        await self.assert_error("error in the program", "list")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_changes_are_logged(self):
        records = watch(self)
        await self.done("put", NETWORK)
        await self.done("forget", subject="192.0.2.0/24")
        await self.done("list")
        self.assertEqual(
            list(map(str, records)),
            [
                'event=admin command=put count=1 key="rule network 192.0.2.0/24"',
                'event=admin command=forget count=1 key="rule network 192.0.2.0/24"',
            ],
        )

    async def test_the_table_of_clients(self):
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        await self.done("put", NETWORK)
        for _time in range(2):
            await self.hint(client_name=b"mx.example")
        self.now.time += 1
        await self.hint(b"203.0.113.9")
        sums, first, second = map(json.loads, await self.lines("top"))
        self.assertEqual((sums["asked"], sums["refused"], sums["clients"]), (3, 2, 2))
        self.assertEqual((sums["store"], sums["records"]), ("memory:", 4))
        self.assertEqual((first["client"], first["points"]), ("192.0.2.7", 20.0))
        self.assertEqual(first["name"], "mx.example")
        self.assertEqual((second["client"], "points" in second), ("203.0.113.9", False))
        _sums, row = map(json.loads, await self.lines("top", order="at", rows="1"))
        self.assertEqual(row["client"], "203.0.113.9")

    async def test_a_table_of_what_is_not_known_is_an_error(self):
        await self.assert_error("order", "top", order="beauty")
        for rows in ("x", "-1", "9" * 10, ""):
            await self.assert_error("number", "top", rows=rows)

    async def test_a_table_fits_into_an_answer(self):
        for number in range(250):
            name = b"\xff" * 255
            await self.hint(b"198.51.100.%d" % number, client_name=name)
        self.assertGreater(len(await self.lines("top", rows="200")), 10)


class SqliteTests(AnyStore, TestCase):
    """With a file."""

    async def setUp(self):
        self.make(SqliteStore(str(folder(self) / "db"), reactor))
        await self.store.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.store.close()))


class RedisTests(AnyStore, TestCase):
    """With Redis."""

    async def setUp(self):
        from mvmtr.assess.stores.redis import RedisStore

        server = RedisServer(folder(self))
        self.addCleanup(server.end)
        self.make(RedisStore(server.place, reactor))
        await self.store.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.store.close()))


class HostileTests(AdminCase, SynchronousTestCase):
    """Whatever is asked, there is an answer."""

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from(["put", "list", "show", "forget", "top"]),
        st.dictionaries(
            st.sampled_from(["subject", "prefix", "cursor", "only", "rows", "order", "entry_1"]),
            st.one_of(st.text(max_size=30), st.sampled_from([NETWORK, "192.0.2.7", "2001:db8::"])),
        ),
    )
    def test_there_is_an_answer(self, name, attributes):
        self.make(MemoryStore(reactor))
        answer = self.successResultOf(Deferred.fromCoroutine(self.call(name, **attributes)))
        self.assertTrue(answer.keys() & {b"mvmcas_error", b"mvmcas_count"})
        self.assertEqual(self.flushLoggedErrors(), [])
