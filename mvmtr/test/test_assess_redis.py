"""Records in a real Redis server."""

from __future__ import annotations

import os
import resource
import signal
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mvmtr.assess.records import Record
from mvmtr.assess.stores import IStore, StoreError, store_from_string
from mvmtr.assess.stores import redis as module
from mvmtr.assess.stores.redis import PASSWORD, RedisStore
from mvmtr.test.assess_stores import Now, StoreTests, count_up, get, put, scan
from mvmtr.test.redis_server import RedisServer
from mvmtr.test.support import folder

PATIENCE = 20


class RedisTestCase(TestCase):
    """With a server and stores in front of it."""

    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.now = Now()
        self.folder = folder(self)
        self.server = RedisServer(self.folder, *self.options)
        self.addCleanup(self.server.end)

    async def opened(self, place: str = "") -> IStore:
        """One more store; it is closed after the test."""
        store = RedisStore(place or self.server.place, reactor, self.now)
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        await store.open()
        return store

    async def wait(self, seconds: float = 0.02) -> None:
        """Let time pass."""
        await deferLater(reactor, seconds)

    async def until_it_works(self, store: IStore) -> None:
        """Wait until a store has found its server again."""
        end = reactor.seconds() + PATIENCE
        while True:
            try:
                await get(store, "a")
                return
            except StoreError:
                if reactor.seconds() > end:
                    raise
                await self.wait()


class RedisStoreTests(StoreTests, RedisTestCase):
    async def setUp(self) -> None:
        super().setUp()
        self.store = await self.opened()

    async def test_redis_forgets_by_itself(self) -> None:
        await put(self.store, {"a": Record({}, self.now.time + 0.05), "b": Record({})})
        end = reactor.seconds() + PATIENCE
        while await self.store.count() > 1 and reactor.seconds() < end:
            await self.wait()
        self.assertEqual(await self.store.count(), 1)
        self.assertEqual(await self.store.sweep(), 0)

    async def test_several_lose_nothing(self) -> None:
        stores = [self.store, *[await self.opened() for _ in range(4)]]
        counting = [
            Deferred.fromCoroutine(count_up(stores[number % 5], "a", f"b{number % 2}"))
            for number in range(200)
        ]
        self.assertEqual(sorted(await gatherResults(counting)), list(range(1, 201)))
        found = await get(self.store, "b0", "b1")
        self.assertEqual([record.values["n"] for record in found.values()], [100, 100])

    async def test_what_others_keep_there_is_not_touched(self) -> None:
        other = await self.opened()
        command = other._factory.pool[0].execute_command
        await command("SET", "a", "theirs")
        await put(self.store, {"a": Record({"n": 1})})
        self.assertEqual(await command("GET", "a"), b"theirs")
        self.assertEqual(list(await scan(self.store, "")), ["a"])

    async def test_databases_are_apart(self) -> None:
        third = await self.opened(f"{self.server.place}:3")
        await put(self.store, {"a": Record({"n": 1})})
        self.assertEqual(await get(third, "a"), {})

    async def test_closing_waits_for_what_was_asked(self) -> None:
        counting = [Deferred.fromCoroutine(get(self.store, "a")) for _ in range(20)]
        await self.store.close()
        self.assertEqual(await gatherResults(counting), [{}] * 20)
        with self.assertRaisesRegex(StoreError, "closed"):
            await get(self.store, "a")

    async def test_a_server_that_forgot_the_scripts_is_told_them_again(self) -> None:
        await count_up(self.store, "a")
        other = await self.opened()
        await other._factory.pool[0].script_flush()
        self.assertEqual(await count_up(self.store, "a"), 2)

    async def test_one_who_always_comes_too_late_gives_up(self) -> None:
        self.patch(module, "TRIES_MAX", 5)
        other = await self.opened()

        def step(_found: object) -> tuple[None, dict[str, Record | None]]:
            spoiling.append(Deferred.fromCoroutine(count_up(other, "a")))
            return None, {"b": Record({})}

        spoiling: list[Deferred[int]] = []

        async def slow(*arguments: object) -> bytes:
            if spoiling:
                await spoiling[-1]
            return await call(*arguments)

        call = self.store._call
        self.store._call = slow
        with self.assertRaisesRegex(StoreError, "5 times somebody else was faster"):
            await self.store.transact(["a", "b"], step)
        self.assertEqual(len(spoiling), 5)
        self.assertEqual(await get(other, "b"), {})


class RedisSocketTests(RedisTestCase):
    async def test_a_socket_of_the_file_system(self) -> None:
        path = self.folder / "redis.sock"
        self.server.end(signal.SIGTERM)
        self.server = RedisServer(self.folder, "--unixsocket", str(path))
        self.addCleanup(self.server.end)
        store = await self.opened(str(path))
        self.assertEqual(await count_up(store, "a"), 1)
        self.assertEqual(await count_up(await self.opened(f"{path}:2"), "a"), 1)


class RedisPasswordTests(RedisTestCase):
    options = ("--requirepass", "secret")

    async def test_the_password_comes_from_the_environment(self) -> None:
        self.patch(os, "environ", {**os.environ, PASSWORD: "secret"})
        store = await self.opened(f"{self.server.place}:1")
        self.assertEqual(await count_up(store, "a"), 1)

    async def test_a_wrong_password_is_an_error_and_is_tried_again(self) -> None:
        self.patch(module._Factory, "initialDelay", 0.05)
        self.patch(os, "environ", {**os.environ, PASSWORD: "wrong"})
        store = RedisStore(self.server.place, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        with self.assertRaisesRegex(StoreError, r"could not auth.*WRONGPASS"):
            await store.open()
        self.server.end()
        self.server._options = ("--requirepass", "wrong")
        self.server.start()
        await self.until_it_works(store)

    async def test_no_password_is_an_error(self) -> None:
        store = RedisStore(self.server.place, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        with self.assertRaisesRegex(StoreError, "NOAUTH"):
            await store.open()


class RedisFailureTests(RedisTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(module._Factory, "initialDelay", 0.05)

    async def test_a_server_that_is_not_there_yet_is_found_later(self) -> None:
        self.server.end()
        store = RedisStore(self.server.place, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))
        with self.assertRaisesRegex(StoreError, f"^redis:{self.server.place}: unable to connect"):
            await store.open()
        with self.assertRaisesRegex(StoreError, "unable to connect"):
            await store.open()
        with self.assertRaisesRegex(StoreError, "unable to connect"):
            await count_up(store, "a")
        self.server.start()
        await self.until_it_works(store)
        await store.open()
        self.assertEqual(await count_up(store, "a"), 1)

    async def test_a_killed_server_loses_nothing_that_it_has_said(self) -> None:
        stores = [await self.opened() for _ in range(3)]
        said = 0
        for length in (1, 30, 200):
            counting = [self.count_until_it_fails(store) for store in stores for _ in range(5)]
            working = gatherResults([Deferred.fromCoroutine(one) for one in counting])
            before = said
            while said < before + length:
                await self.wait(0)
                said = self.said
            self.server.end(signal.SIGKILL)
            await working
            said = self.said
            self.server.start()
            for store in stores:
                await self.until_it_works(store)
            found = await get(stores[0], "one", "other")
            kept = found["one"].values["n"]
            self.assertEqual(found["other"].values["n"], kept)
            self.assertGreaterEqual(kept, said)
            self.said = kept

    said = 0

    async def count_until_it_fails(self, store: IStore) -> None:
        try:
            while True:
                self.said = max(self.said, await count_up(store, "one", "other"))
        except StoreError:
            return

    async def test_a_server_that_hangs_is_an_error(self) -> None:
        self.patch(module, "TIMEOUT", 0.2)
        store = await self.opened()
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            asking = [Deferred.fromCoroutine(get(store, "a")) for _ in range(3)]
            for one in asking:
                with self.assertRaises(StoreError):
                    await one
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)
        await self.until_it_works(store)

    async def test_a_full_disk_spoils_nothing(self) -> None:
        store = await self.opened()
        await put(store, {"rule": Record({"action": "block"})})
        said = await count_up(store, "one", "other")
        pid = self.server.process.pid
        size = sum(file.stat().st_size for file in self.folder.glob("appendonlydir/*"))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 20000, resource.RLIM_INFINITY))
        text = "x" * 3000
        with self.assertRaisesRegex(StoreError, "MISCONF"):
            for number in range(100):
                await put(store, {f"filler {number}": Record({"text": text})})
                said = await count_up(store, "one", "other")
        self.assertIn("rule", await get(store, "rule"), "it can be asked while the disk is full")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        end = reactor.seconds() + PATIENCE
        while True:
            try:
                said = await count_up(store, "one", "other")
                break
            except StoreError:
                self.assertLess(reactor.seconds(), end)
                await self.wait()
        self.server.end(signal.SIGKILL)
        self.server.start()
        await self.until_it_works(store)
        found = await get(store, "one", "other", "rule")
        numbers = [found[key].values["n"] for key in ("one", "other")]
        self.assertEqual(numbers, [said, said])
        self.assertIn("rule", found)

    async def test_a_full_memory_is_an_error_for_changes_only(self) -> None:
        store = await self.opened()
        await put(store, {"rule": Record({"action": "block"})})
        await store._factory.pool[0].execute_command("CONFIG", "SET", "maxmemory", "1")
        with self.assertRaisesRegex(StoreError, "OOM|memory"):
            await count_up(store, "a")
        self.assertIn("rule", await get(store, "rule"))


class RedisExtraTests(SynchronousTestCase):
    def test_without_the_library_it_says_what_to_install(self) -> None:
        for name in ("txredisapi", "mvmtr.assess.stores.redis"):
            self.addCleanup(sys.modules.__setitem__, name, sys.modules.pop(name))
        sys.modules["txredisapi"] = None
        with self.assertRaisesRegex(StoreError, r"pip install mvmtr\[redis\]"):
            store_from_string("redis:127.0.0.1", reactor)
