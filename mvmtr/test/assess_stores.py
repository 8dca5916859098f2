"""What holds for every store of records; tests of one inherit from this."""

from __future__ import annotations

import random
import time
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from mvmtr.assess.records import Changes, Record, Records
from mvmtr.assess.stores import PART_MAX, IStore


class Now:
    """A clock that is set by hand; it begins with the real time."""

    def __init__(self) -> None:
        self.time = round(time.time(), 3)

    def __call__(self) -> float:
        """The time."""
        return self.time


async def put(store: IStore, records: dict[str, Record | None]) -> None:
    """Write records."""
    await store.transact(list(records), lambda _found: (None, records))


async def get(store: IStore, *keys: str) -> dict[str, Record]:
    """Read records."""
    return dict(await store.transact(keys, lambda found: (found, {})))


async def scan(store: IStore, prefix: str) -> dict[str, Record]:
    """All records with a prefix."""
    found, cursor = await store.scan(prefix)
    listed = dict(found)
    while cursor:
        found, cursor = await store.scan(prefix, cursor)
        listed.update(found)
    return listed


async def count_up(store: IStore, *keys: str) -> int:
    """Add one to each of some records; what the first is then."""

    def step(found: Records) -> tuple[int, Changes]:
        numbers = {key: found[key].values["n"] + 1 if key in found else 1 for key in keys}
        return numbers[keys[0]], {key: Record({"n": number}) for key, number in numbers.items()}

    return await store.transact(keys, step)


class StoreTests:
    """The tests; C{self.store} is the store, C{self.now} its clock."""

    store: IStore
    now: Now

    async def test_what_is_written_is_read(self: Any) -> None:
        record = Record({"n": 1, "text": 'é"\n'}, self.now.time + 60)
        await put(self.store, {"a b": record, "c": Record({})})
        found = await get(self.store, "a b", "c", "d")
        self.assertEqual(found, {"a b": record, "c": Record({})})

    async def test_any_text_can_be_a_key(self: Any) -> None:
        keys = ["'; --", "%s", "*", "[a-z]", "\\", "\n", "é", "\U0001f600", "\x00", " "]
        records = {key: Record({"n": number}) for number, key in enumerate(keys)}
        await put(self.store, records)
        self.assertEqual(await get(self.store, *keys), records)
        for key in keys:
            self.assertEqual(await scan(self.store, key), {key: records[key]})

    async def test_no_keys_are_no_records(self: Any) -> None:
        self.assertEqual(await get(self.store), {})

    async def test_a_key_may_be_asked_for_twice(self: Any) -> None:
        await put(self.store, {"a": Record({"n": 1})})
        self.assertEqual(await get(self.store, "a", "a", "b", "b"), {"a": Record({"n": 1})})

    async def test_what_is_over_is_missing(self: Any) -> None:
        await put(self.store, {"a": Record({}, self.now.time + 60), "b": Record({})})
        self.now.time += 59.999
        self.assertEqual(sorted(await get(self.store, "a", "b")), ["a", "b"])
        self.now.time += 0.001
        self.assertEqual(sorted(await get(self.store, "a", "b")), ["b"])
        self.assertEqual(sorted(await scan(self.store, "")), ["b"])

    async def test_what_was_over_can_be_written_again(self: Any) -> None:
        await put(self.store, {"a": Record({"n": 1}, self.now.time + 60)})
        self.now.time += 61
        again = Record({"n": 2}, self.now.time + 60)
        await put(self.store, {"a": again})
        self.assertEqual(await get(self.store, "a"), {"a": again})

    async def test_an_end_can_be_taken_away_and_given(self: Any) -> None:
        await put(self.store, {"a": Record({}, self.now.time + 60), "b": Record({})})
        await put(self.store, {"a": Record({}), "b": Record({}, self.now.time + 60)})
        self.now.time += 61
        await self.store.sweep()
        self.assertEqual(await get(self.store, "a", "b"), {"a": Record({})})

    async def test_records_can_be_forgotten(self: Any) -> None:
        await put(self.store, {"a": Record({}), "b": Record({}, self.now.time + 60)})
        await put(self.store, {"a": None, "b": None, "c": None})
        self.assertEqual(await get(self.store, "a", "b", "c"), {})
        self.assertEqual(await self.store.count(), 0)

    async def test_a_step_that_raises_changes_nothing(self: Any) -> None:
        await put(self.store, {"a": Record({"n": 1})})

        def step(_found: Records) -> tuple[None, Changes]:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.store.transact(["a"], step)
        self.assertEqual(await get(self.store, "a"), {"a": Record({"n": 1})})

    async def test_one_step_that_raises_spoils_no_other(self: Any) -> None:
        def step(_found: Records) -> tuple[None, Changes]:
            raise ZeroDivisionError

        bad = [Deferred.fromCoroutine(self.store.transact(["a"], step)) for _ in range(5)]
        good = [Deferred.fromCoroutine(count_up(self.store, "a")) for _ in range(5)]
        for failing in bad:
            with self.assertRaises(ZeroDivisionError):
                await failing
        self.assertEqual(sorted(await gatherResults(good)), [1, 2, 3, 4, 5])

    async def test_changes_at_the_same_time_are_all_kept(self: Any) -> None:
        keys = ["a", "b", "c"]
        chosen = [keys[number % 3 :] + keys[: number % 3] for number in range(150)]
        counting = [Deferred.fromCoroutine(count_up(self.store, *some)) for some in chosen]
        said = await gatherResults(counting)
        self.assertEqual(sorted(said), list(range(1, 151)))
        found = await get(self.store, *keys)
        self.assertEqual([record.values["n"] for record in found.values()], [150] * 3)

    async def test_a_list_of_many_comes_in_parts(self: Any) -> None:
        wanted = {f"some {number}": Record({"n": number}) for number in range(PART_MAX * 2 + 7)}
        await put(self.store, wanted)
        await put(self.store, {"other": Record({}), "so": Record({}), "som": Record({})})
        found, cursor = await self.store.scan("some ")
        self.assertLessEqual(len(found), PART_MAX * 1.5)
        self.assertTrue(cursor)
        self.assertEqual(await scan(self.store, "some "), wanted)
        self.assertEqual(await scan(self.store, "none"), {})
        self.assertEqual(await self.store.count(), len(wanted) + 3)

    async def test_what_stays_is_listed_whatever_else_changes(self: Any) -> None:
        stays = {f"stays {number}": Record({}) for number in range(PART_MAX * 2)}
        goes = {f"goes {number}": Record({}, self.now.time + 60) for number in range(PART_MAX * 2)}
        await put(self.store, {**goes, **stays})
        found, cursor = await self.store.scan("")
        seen = dict(found)
        await put(self.store, dict.fromkeys(goes))
        await put(self.store, {f"new {number}": Record({}) for number in range(PART_MAX)})
        while cursor:
            found, cursor = await self.store.scan("", cursor)
            seen.update(found)
        self.assertEqual(set(stays) - set(seen), set())

    async def test_it_does_what_a_dictionary_does(self: Any) -> None:
        for seed in range(5):
            await self._compare(random.Random(seed))

    async def _compare(self: Any, chance: random.Random) -> None:
        keys = [f"key {number}" for number in range(6)]
        await put(self.store, dict.fromkeys(keys))
        model: dict[str, Record] = {}
        for number in range(40):
            self.now.time = round(self.now.time + chance.choice((0, 1, 10)), 3)
            model = {key: one for key, one in model.items() if not one.is_over(self.now.time)}
            some = chance.sample(keys, chance.randint(0, 4))
            changes: dict[str, Record | None] = {}
            for key in some[: chance.randint(0, 4)]:
                end = chance.choice((0.0, self.now.time + chance.randint(1, 30)))
                changes[key] = chance.choice((None, Record({"n": number}, end)))
            found = await self.store.transact(
                some, lambda found, changes=changes: (dict(found), changes)
            )
            self.assertEqual(found, {key: model[key] for key in some if key in model})
            for key, change in changes.items():
                model.pop(key, None)
                if change is not None:
                    model[key] = change
            if chance.random() < 0.2:
                await self.store.sweep()
        self.assertEqual(await scan(self.store, "key"), model)
