"""Records in memory and in a file."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mvmtr.assess.records import Changes, Record, Records
from mvmtr.assess.stores import IStore, StoreError, store_from_string
from mvmtr.assess.stores.memory import SCANS_MAX, MemoryStore
from mvmtr.assess.stores.sqlite import SqliteStore
from mvmtr.test.assess_stores import Now, StoreTests, count_up, get, put, scan
from mvmtr.test.support import environment, folder, in_thread

PATIENCE = 60
"""Seconds that a program may take at most."""

PROGRAM = Path(__file__).parent / "assess_program.py"


class BoundedStoreTests(StoreTests):
    """For stores that forget by themselves; C{self.bounded} makes one with room for 20."""

    async def test_sweeping_forgets_what_is_over(self) -> None:
        over = {f"over {number}": Record({}, self.now.time + 1) for number in range(2500)}
        await put(self.store, {**over, "a": Record({}, self.now.time + 9), "b": Record({})})
        self.assertEqual(await self.store.sweep(), 0)
        self.now.time += 5
        self.assertEqual(await self.store.sweep(), 2500)
        self.assertEqual(await self.store.count(), 2)
        self.assertEqual(sorted(await get(self.store, "a", "b")), ["a", "b"])

    async def test_sweeping_lets_others_in(self) -> None:
        over = {f"over {number}": Record({}, self.now.time + 1) for number in range(20000)}
        await put(self.store, over)
        self.now.time += 5
        sweeping = Deferred.fromCoroutine(self.store.sweep())
        self.assertEqual(await count_up(self.store, "a"), 1)
        self.assertGreater(await self.store.count(), 1)
        self.assertEqual(await sweeping, 20000)

    async def test_there_are_never_much_more_than_it_may_have(self) -> None:
        store = await self.bounded()
        for number in range(100):
            await put(store, {f"key {number}": Record({}, self.now.time + 100 + number)})
        await store.sweep()
        self.assertEqual(
            sorted(await scan(store, "")), [f"key {number}" for number in range(80, 100)]
        )

    async def test_what_has_no_end_never_goes(self) -> None:
        store = await self.bounded()
        await put(store, {f"rule {number}": Record({}) for number in range(30)})
        for number in range(100):
            await put(store, {f"key {number}": Record({}, self.now.time + 100 + number)})
        await store.sweep()
        self.assertEqual(len(await scan(store, "rule")), 30)
        self.assertEqual(len(await scan(store, "")), 30)


class MemoryTests(BoundedStoreTests, TestCase):
    def setUp(self) -> None:
        self.now = Now()
        self.store: IStore = MemoryStore(reactor, now=self.now)

    async def bounded(self) -> IStore:
        return MemoryStore(reactor, 20, self.now)

    async def test_what_is_written_again_stays_longer(self) -> None:
        store = await self.bounded()
        for number in range(100):
            end = self.now.time + 1000 - number
            await put(store, {"busy": Record({}, end), f"key {number}": Record({}, end)})
        self.assertIn("busy", await get(store, "busy"))

    async def test_too_many_lists_end_with_an_error(self) -> None:
        await put(self.store, {f"key {number}": Record({}) for number in range(3000)})
        _found, first = await self.store.scan("")
        for _ in range(SCANS_MAX):
            await self.store.scan("")
        with self.assertRaisesRegex(StoreError, "begin again"):
            await self.store.scan("", first)


class SqliteTests(BoundedStoreTests, TestCase):
    async def setUp(self) -> None:
        self.now = Now()
        self.path = folder(self) / "test.db"
        self.store: IStore = SqliteStore(str(self.path), reactor, now=self.now)
        await self.store.open()
        self.addCleanup(self.close, self.store)

    def close(self, store: IStore) -> Deferred[None]:
        return Deferred.fromCoroutine(store.close())

    async def bounded(self) -> IStore:
        store = SqliteStore(str(self.path) + "2", reactor, 20, self.now)
        await store.open()
        self.addCleanup(self.close, store)
        return store

    async def other(self) -> IStore:
        """One more on the same file, as another process would have it."""
        store = SqliteStore(str(self.path), reactor, now=self.now)
        await store.open()
        self.addCleanup(self.close, store)
        return store

    async def test_nobody_else_may_read_the_file(self) -> None:
        await count_up(self.store, "a")
        files = list(self.path.parent.iterdir())
        self.assertIn(self.path, files)
        for file in files:
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

    async def test_it_is_there_again(self) -> None:
        await put(self.store, {"a": Record({"n": 1})})
        await self.store.close()
        again = await self.other()
        self.assertEqual(await get(again, "a"), {"a": Record({"n": 1})})

    async def test_closing_waits_for_what_was_asked(self) -> None:
        counting = [Deferred.fromCoroutine(count_up(self.store, "a")) for _ in range(300)]
        await self.store.close()
        self.assertEqual([await one for one in counting], list(range(1, 301)))
        await self.store.close()

    async def test_a_closed_one_fails(self) -> None:
        await self.store.close()
        with self.assertRaisesRegex(StoreError, "not open"):
            await count_up(self.store, "a")

    async def test_it_can_be_opened_before_anything_runs(self) -> None:
        opening = SqliteStore(str(self.path), reactor).open()
        with self.assertRaises(StopIteration):
            opening.send(None)

    async def test_several_on_one_file_lose_nothing(self) -> None:
        stores = [self.store, await self.other(), await self.other()]
        counting = [
            Deferred.fromCoroutine(count_up(stores[number % 3], "a")) for number in range(90)
        ]
        self.assertEqual(sorted([await one for one in counting]), list(range(1, 91)))

    async def test_one_waits_until_another_has_written(self) -> None:
        def step(found: Records) -> tuple[None, Changes]:
            number = found["a"].values["n"] if "a" in found else 0
            time.sleep(0.02)
            return None, {"a": Record({"n": number + 1})}

        stores = [self.store, await self.other(), await self.other()]
        for one in [Deferred.fromCoroutine(store.transact(["a"], step)) for store in stores]:
            await one
        self.assertEqual((await get(self.store, "a"))["a"].values["n"], 3)

    async def test_room_of_what_is_forgotten_is_given_back(self) -> None:
        records = {f"key {n}": Record({"text": "x" * 500}, self.now.time + 9) for n in range(8000)}
        await put(self.store, records)
        await self.store.close()
        before = self.path.stat().st_size
        self.store = await self.other()
        self.now.time += 10
        for _ in range(5):
            await self.store.sweep()
        await self.store.close()
        self.assertLess(self.path.stat().st_size, before / 4)

    async def test_files_that_are_none_of_its_own_are_refused(self) -> None:
        text = self.path.parent / "text"
        text.write_bytes(b"no database\n" * 100)
        for path, reason in (
            (text, "not a database"),
            (self.path.parent, "Is a directory"),
            (self.path.parent / "nowhere" / "test.db", "No such file"),
        ):
            with self.assertRaisesRegex(StoreError, f"^sqlite:{path}: .*{reason}"):
                await SqliteStore(str(path), reactor).open()
        self.assertEqual(text.read_bytes(), b"no database\n" * 100)

    async def test_a_lock_of_somebody_else_is_an_error_at_last(self) -> None:
        import sqlite3

        from mvmtr.assess.stores import sqlite

        self.patch(sqlite, "BUSY_TIMEOUT", 0.05)
        store = await self.other()
        with sqlite3.connect(self.path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaisesRegex(StoreError, "locked"):
                await count_up(store, "a")
            other.execute("ROLLBACK")
        other.close()
        self.assertEqual(await count_up(store, "a"), 1)

    async def test_nothing_is_written_where_nothing_changes(self) -> None:
        await count_up(self.store, "a")
        log = self.path.with_name("test.db-wal")
        before = log.stat().st_size, log.read_bytes()
        await get(self.store, "a", "b")
        self.assertEqual((log.stat().st_size, log.read_bytes()), before)


class CrashTests(TestCase):
    """A process with a file that is killed, or whose disk is full."""

    def setUp(self) -> None:
        self.path = folder(self) / "test.db"

    def run_program(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.path), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            # So that a limit on the size of files gives it an error and not a signal.
            restore_signals=False,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    async def kept(self) -> tuple[int, int]:
        store = SqliteStore(str(self.path), reactor)
        await store.open()
        found = await get(store, "one", "other")
        await store.close()
        return found["one"].values["n"], found["other"].values["n"]

    async def test_a_killed_process_loses_nothing_that_it_has_said(self) -> None:
        for count in (1, 7, 50, 333, 500):
            process = self.run_program("20")
            said = await in_thread(self.read_and_kill, process, count)
            one, other = await self.kept()
            self.assertEqual(one, other)
            self.assertGreaterEqual(one, said)
            self.assertLessEqual(one, said + 20)

    def read_and_kill(self, process: subprocess.Popen[str], lines: int) -> int:
        said = 0
        for _ in range(lines):
            word, number = process.stdout.readline().split()
            self.assertEqual(word, "said")
            said = int(number)
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout.read().split("\n")[:-1]:
            said = int(line.split()[1])
        return said

    async def test_a_full_disk_spoils_nothing(self) -> None:
        process = self.run_program("20", "--limit", "300000")
        text = await in_thread(process.communicate, None, PATIENCE)
        words = [line.partition(" ")[0] for line in text[0].split("\n")[:-1]]
        self.assertEqual(process.returncode, 0, text)
        failed = words.index("failed")
        self.assertIn("said", words[:failed], "it worked before the disk was full")
        self.assertIn("read", words[failed:], "it can be asked while the disk is full")
        self.assertIn("said", words[words.index("more") :], "it works when there is room again")
        one, other = await self.kept()
        self.assertEqual((one, other), (words.count("said"), words.count("said")))


class FromStringTests(TestCase):
    def test_kinds(self) -> None:
        path = folder(self) / "test.db"
        names = {
            "memory:": "memory:",
            f"sqlite:{path}": f"sqlite:{path}",
            "redis:127.0.0.1": "redis:127.0.0.1",
            "redis:[::1]:6380:3": "redis:[::1]:6380:3",
            "redis:/run/redis.sock": "redis:/run/redis.sock",
            "redis:/run/redis.sock:2": "redis:/run/redis.sock:2",
        }
        for description, name in names.items():
            self.assertEqual(store_from_string(description, reactor).name, name)
        self.assertFalse(path.exists())

    def test_a_relative_path_becomes_absolute(self) -> None:
        store = store_from_string("sqlite:test.db", reactor)
        self.assertEqual(store.name, f"sqlite:{os.getcwd()}/test.db")

    def test_other_descriptions_are_refused(self) -> None:
        for description in (
            *("", "memory:x", "sqlite:", "redis:", "file:/x", "redis:h:x"),
            *("redis:h:99999", "redis:h:0", "redis:::1", "redis:h:1:2:3"),
        ):
            with self.assertRaisesRegex(StoreError, "is no store; there are memory:"):
                store_from_string(description, reactor)
