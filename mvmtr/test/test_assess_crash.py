"""Real servers that are killed while they are asked, or have no room on their disk."""

from __future__ import annotations

import resource
import signal
import threading

from mvmtr.test.policy import PolicyTestCase, ask, request
from mvmtr.test.redis_server import RedisServer

GREYLIST = ("--set", "greylist=on", "--set", "greylist_delay=100000")
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def question(number, **more):
    """A question about a recipient that no other question is about."""
    return request(recipient=f"r{number:06d}@ours.example", mvmcas_version="1", **more)


class CrashTests(PolicyTestCase):
    def ask_until_killed(self, process, addresses, many):
        """
        Ask from several threads; kill the process after so many answers.

        @return: the numbers of all questions that were answered.
        """
        answered = []
        enough = threading.Event()

        def work(first):
            number, address = first, addresses[first % len(addresses)]
            while True:
                try:
                    (reply,) = ask(address, question(number))
                except (OSError, ValueError):
                    return
                if b"mvmcas_error" in reply:
                    return
                self.assertIn(b"not seen before", reply[b"action"])
                answered.append(number)
                if len(answered) >= many:
                    enough.set()
                number += 10

        workers = [threading.Thread(target=work, args=(first,)) for first in range(10)]
        for worker in workers:
            worker.start()
        self.assertTrue(enough.wait(60), "enough answers")
        process.send_signal(signal.SIGKILL)
        process.wait()
        return answered, workers

    def check_all_are_remembered(self, numbers):
        replies = self.ask(*[question(number) for number in numbers])
        self.assertEqual(len(replies), len(numbers))
        for number, reply in zip(numbers, replies, strict=True):
            self.assertRegex(reply[b"action"], rb"^DEFER_IF_PERMIT .*, seen \d+ s ago", number)

    def test_a_killed_server_remembers_all_that_it_answered(self):
        for many in (1, 20, 150):
            store = f"--store=sqlite:{self.home}/test{many}.db"
            process = self.start(store, *GREYLIST)
            answered, workers = self.ask_until_killed(process, [self.address], many)
            for worker in workers:
                worker.join()
            process = self.start(store, *GREYLIST)
            self.check_all_are_remembered(answered)
            process.kill()

    def test_a_killed_redis_remembers_all_that_was_answered(self):
        server = RedisServer(self.home)
        self.addCleanup(server.end)
        addresses = []
        for _ in range(2):
            self.start(f"--store=redis:{server.place}", *GREYLIST)
            addresses.append(self.address)
        answered, workers = self.ask_until_killed(server.process, addresses, 200)
        server.start()
        for worker in workers:
            worker.join()
        self.wait_until_it_answers()
        self.check_all_are_remembered(answered)

    def test_one_of_two_that_is_killed_is_not_missed(self):
        server = RedisServer(self.home)
        self.addCleanup(server.end)
        store = f"--store=redis:{server.place}"
        first = self.start(store, *GREYLIST)
        address = self.address
        self.start(store, *GREYLIST)
        answered, workers = self.ask_until_killed(first, [address], 100)
        for worker in workers:
            worker.join()
        self.check_all_are_remembered(answered)

    def wait_until_it_answers(self):
        def answers():
            (reply,) = self.ask(question(999_999))
            return b"mvmcas_error" not in reply

        self.wait_until(answers, "an answer")

    def test_a_full_disk_spoils_nothing(self):
        (self.home / "mvmcas-block").write_text("198.51.100.0/24 known for spam\n")
        path = self.home / "test.db"
        files = f"--control-dir={self.home}"
        process = self.start(f"--store=sqlite:{path}", files, *GREYLIST)
        self.ask(question(0))
        size = path.with_name("test.db-wal").stat().st_size + 40_000
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        replies = self.ask(*[question(number) for number in range(1, 200)])
        failed = [number for number, one in enumerate(replies, 1) if b"mvmcas_error" in one]
        kept = [number for number, one in enumerate(replies, 1) if b"mvmcas_error" not in one]
        self.assertTrue(failed, "the disk is full")
        for number in failed:
            self.assertEqual(replies[number - 1][b"action"], b"DUNNO")
        blocked = request(client_address="198.51.100.7")
        (reply,) = self.ask(blocked)
        self.assertTrue(reply[b"action"].startswith(b"554 "), "rules hold all the same")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, UNLIMITED)
        self.check_all_are_remembered([0, *kept])
        (reply,) = self.ask(question(failed[0]))
        self.assertIn(b"not seen before", reply[b"action"], "what failed was not remembered")
        process.kill()
        process.wait()
        self.start(f"--store=sqlite:{path}", files, *GREYLIST)
        self.check_all_are_remembered([0, failed[0], *kept])
