"""Tests of the postmaster's program."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from mvmtr.assess import admin, ctl
from mvmtr.assess.admin import Admin
from mvmtr.assess.engine import Engine
from mvmtr.assess.question import Event, Feedback, Question, State
from mvmtr.assess.server import PolicyFactory
from mvmtr.assess.service import Assessment
from mvmtr.assess.stores.memory import MemoryStore
from mvmtr.test.assess_stores import scan
from mvmtr.test.support import environment, folder, free_port, in_thread, twistd, wait_for_port
from mvmtr.test.test_assess_entries import EVERYTHING

PROGRAM = [sys.executable, "-m", "mvmtr.assess.ctl"]


class CtlCase(TestCase):
    """A server in this process, on a socket of its own."""

    async def setUp(self):
        self.home = folder(self)
        self.store = MemoryStore(reactor)
        self.assessment = Assessment(Engine(EVERYTHING), self.store, reactor)
        self.address = f"unix:{self.home}/admin"
        factory = PolicyFactory(self.assessment, reactor, Admin(self.assessment))
        port = reactor.listenUNIX(f"{self.home}/admin", factory)
        self.addCleanup(factory.stop)
        self.addCleanup(port.stopListening)

    async def run_ctl(self, *arguments, server=None):
        """Run a command; what it prints, and its error."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        try:
            options = ctl._parser().parse_args([f"--server={server or self.address}", *arguments])
            await ctl._run(reactor, options)
        except SystemExit as error:
            return out.getvalue(), f"{error}\n{err.getvalue()}"
        return out.getvalue(), err.getvalue()

    async def out(self, *arguments):
        """What a command prints that has no complaints."""
        out, err = await self.run_ctl(*arguments)
        self.assertEqual(err, "")
        return out

    async def hint(self, client=b"192.0.2.7", state=State.CONNECT, **more):
        return await self.assessment.ask(Question(state, client, **more))


class CommandTests(CtlCase):
    """What each command does."""

    async def test_block(self):
        self.assertEqual(await self.out("block", "192.0.2.0/24", "--reason=scans for relays"), "")
        hint = await self.hint()
        self.assertEqual((hint.code, hint.text), (554, "5.7.1 blocked: scans for relays"))

    async def test_allow(self):
        await self.out("block", "192.0.2.0/24")
        await self.out("allow", "192.0.2.7")
        self.assertEqual((await self.hint()).action, "dunno")

    async def test_relay(self):
        await self.out("relay", "192.0.2.7")
        self.assertEqual((await self.hint(extended=True)).parameters["relay"], "yes")

    async def test_trap(self):
        await self.out("trap", "old@ours.example")
        await self.hint(state=State.RCPT, recipient=b"old@ours.example")
        self.assertIn("client 192.0.2.7", await scan(self.store, ""))

    async def test_a_rule_ends_when_it_was_told_to(self):
        await self.out("block", "x.example", "--until=2037-01-01")
        (record,) = (await scan(self.store, "rule ")).values()
        self.assertEqual(record.expires, 2114380800.0)

    async def test_a_later_rule_about_the_same_takes_the_place_of_the_one_before(self):
        await self.out("block", "x.example", "--until=7d")
        await self.out("allow", "x.example")
        (record,) = (await scan(self.store, "rule ")).values()
        self.assertEqual((record.values["action"], record.expires), ("allow", 0))

    async def test_what_is_no_subject_is_an_error(self):
        for words, said in (
            (("block", "x/y"), "mvmcas-ctl: 'x/y' is no address"),
            (("relay", "joe@x.example"), "name a client instead"),
            (("trap", "192.0.2.7"), "no address of a recipient"),
            (("block", "\udcff.example"), "not UTF-8"),
            (("show", "a b"), "'a b'"),
            (("forget", "x/\udcff"), "udcff"),
        ):
            out, err = await self.run_ctl(*words)
            self.assertEqual(out, "")
            self.assertIn(said, err)
        self.assertEqual(await scan(self.store, "rule "), {})

    async def test_what_is_no_date_is_an_error(self):
        for date in ("soon", "2001-01-01"):
            self.assertIn(date, (await self.run_ctl("block", "x.example", f"--until={date}"))[1])

    async def test_list(self):
        await self.out("block", "x.example", "--reason=r")
        await self.out("trap", "old@ours.example")
        heading, first, second = (await self.out("list")).splitlines()
        self.assertEqual(heading.split(), ["ACTION", "SUBJECT", "UNTIL", "REASON"])
        self.assertEqual(first.split(), ["trap", "old@ours.example"])
        self.assertEqual(second.split(), ["block", "x.example", "r"])
        self.assertEqual(len((await self.out("list", "trap")).splitlines()), 2)
        self.assertEqual(
            await self.out("list", "--json", "block"),
            '{"rule":"block","subject":"x.example","reason":"r"}\n',
        )
        self.assertEqual(await self.out("list", "--json", "relay"), "")

    async def test_show(self):
        self.assertEqual(await self.out("show", "192.0.2.7"), "nothing is known about 192.0.2.7\n")
        await self.out("block", "192.0.2.0/24", "--reason=scans")
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        first, second, third = (await self.out("show", "192.0.2.7")).splitlines()
        self.assertIn("client 192.0.2.7: 20.0 points; forgotten in ", first)
        self.assertEqual(second, "block 192.0.2.0/24: scans")
        self.assertIn("network 192.0.2.0/24: 4.0 points", third)
        lines = (await self.out("show", "--json", "192.0.2.7")).splitlines()
        self.assertEqual(json.loads(lines[0])["points_now"], 20.0)

    async def test_forget(self):
        await self.out("block", "192.0.2.7")
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"192.0.2.7"))
        self.assertEqual(await self.out("forget", "--rules", "192.0.2.7"), "1 forgotten\n")
        self.assertEqual(await self.out("forget", "192.0.2.7"), "1 forgotten\n")
        self.assertEqual(await self.out("forget", "192.0.2.7"), "0 forgotten\n")

    async def test_top(self):
        for _time in range(3):
            await self.hint(client_name=b"mx.example")
        _store, sums, heading, line = (await self.out("top", "--once")).splitlines()
        self.assertIn("3 in all", sums)
        self.assertIn("PUT OFF", heading)
        self.assertEqual(line.split()[:2], ["192.0.2.7", "mx.example"])
        self.assertEqual(len((await self.out("top", "--once", "--rows=1")).splitlines()), 4)


class ExportTests(CtlCase):
    """Export and import."""

    def file(self, text, name="rules"):
        path = self.home / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return str(path)

    async def assert_back(self, *options):
        before = await scan(self.store, "" if options else "rule ")
        exported = await self.out("export", *options)
        for store in (self.store._lasting, self.store._passing):
            store.clear()
        said = await self.out("import", self.file(exported))
        self.assertEqual(said, f"{len(before)} imported\n")
        after = await scan(self.store, "")
        self.assertEqual(set(after), set(before))
        for key, record in after.items():
            self.assertEqual(record.values, before[key].values)
            self.assertLess(abs(record.expires - before[key].expires), 0.001)

    async def some_of_everything(self):
        await self.out("block", "192.0.2.0/24", "--until=7d", "--reason=é")
        await self.out("trap", "old@ours.example")
        await self.assessment.tell(Feedback(Event.SPAM_TRAP, b"198.51.100.7"))
        who = {"sender": b"s@x.example", "recipient": b"r@ours.example"}
        await self.hint(b"203.0.113.7", State.RCPT, **who)

    async def test_rules_come_back(self):
        await self.some_of_everything()
        await self.assert_back()
        self.assertEqual(len(await scan(self.store, "")), 2)

    async def test_everything_comes_back(self):
        await self.some_of_everything()
        await self.assert_back("--all")
        self.assertGreater(len(await scan(self.store, "")), 5)

    async def test_many_rules_come_back(self):
        self.patch(admin, "ROOM", 3000)
        for number in range(3):
            await self.out("block", f"{number}.example")
        entries = [{"rule": "block", "subject": f"198.51.100.{n}"} for n in range(256)]
        text = "".join(json.dumps(entry) + "\n" for entry in entries * 5)
        self.assertEqual(await self.out("import", self.file(text)), "1280 imported\n")
        await self.assert_back()

    async def test_rules_of_files_are_not_exported(self):
        self.patch(
            ctl.Caller, "lines", lambda *_args, **_names: _each('{"rule":"block","file":"x:1"}')
        )
        self.assertEqual(await self.out("export"), "")

    async def test_blank_lines_do_not_count(self):
        text = '\n{"rule":"block","subject":"x.example"}\n\n'
        self.assertEqual(await self.out("import", self.file(text)), "1 imported\n")

    async def test_the_last_line_needs_no_end(self):
        text = '{"rule":"block","subject":"x.example"}\n{"rule":"block","subject":"y.example"}'
        self.assertEqual(await self.out("import", self.file(text)), "2 imported\n")

    async def test_nothing_is_imported_if_a_line_is_wrong(self):
        good = '{"rule":"block","subject":"x.example"}\n'
        for bad in ("nonsense\n", '{"rule":"bless"}\n', "\udcff\n", "[" * 20000 + "\n"):
            _out, err = await self.run_ctl("import", self.file(good + bad))
            self.assertRegex(err, r"rules:[12]: .*nothing was imported")
        self.assertEqual(await scan(self.store, ""), {})

    async def test_a_file_that_is_not_there_is_an_error(self):
        self.assertIn("No such file", (await self.run_ctl("import", "/no/such/file"))[1])


async def _each(*lines):
    for line in lines:
        yield line


class AwayTests(CtlCase):
    """Servers that are away or do not listen to the postmaster."""

    async def test_a_server_that_is_away_is_an_error(self):
        _out, err = await self.run_ctl("list", server=f"unix:{self.home}/none")
        self.assertIn(f"mvmcas-ctl: unix:{self.home}/none: unable to connect", err)

    async def test_what_is_no_endpoint_is_an_error(self):
        self.assertIn("--server=blah", (await self.run_ctl("list", server="blah"))[1])

    async def test_an_endpoint_for_receivers_is_an_error(self):
        factory = PolicyFactory(self.assessment, reactor)
        port = reactor.listenUNIX(f"{self.home}/plain", factory)
        self.addCleanup(factory.stop)
        self.addCleanup(port.stopListening)
        for command in (["list"], ["block", "x.example"], ["top", "--once"], ["export"]):
            _out, err = await self.run_ctl(*command, server=f"unix:{self.home}/plain")
            self.assertIn("takes no commands", err)
        self.assertEqual(await scan(self.store, ""), {})

    async def test_a_store_needs_no_server(self):
        place = f"--store=sqlite:{self.home}/db"
        await self.out(place, "block", "192.0.2.7", "--reason=r")
        self.assertIn("block   192.0.2.7", await self.out(place, "list"))
        self.assertEqual(await self.out(place, "forget", "192.0.2.7"), "1 forgotten\n")

    async def test_a_store_that_cant_be_opened_is_an_error(self):
        for place in (f"sqlite:{self.home}/none/db", "nonsense:"):
            _out, err = await self.run_ctl(f"--store={place}", "list")
            self.assertTrue(err.startswith("mvmcas-ctl: "), err)

    async def test_the_controls_of_a_store_can_be_told(self):
        place = [f"--store=sqlite:{self.home}/db", "--set", "greylist_network4=16"]
        await self.out(*place, "list")
        for bad in ("nonsense=1", "greylist_network4", "greylist_network4=x"):
            _out, err = await self.run_ctl(place[0], "--set", bad, "list")
            self.assertIn(bad.partition("=")[0], err)

    async def test_a_store_has_no_table_of_clients(self):
        _out, err = await self.run_ctl(f"--store=sqlite:{self.home}/db", "top", "--once")
        self.assertIn("wants a server", err)


class ProgramTests(TestCase):
    """The program and a server, as processes."""

    def setUp(self):
        self.home = folder(self)
        self.admin = f"unix:{self.home}/admin"
        self.start()

    def start(self):
        port = free_port()
        self.server = subprocess.Popen(
            [*twistd("--nodaemon", "--pidfile=", "mvmcas"), f"--store=sqlite:{self.home}/db",
             f"--listen=tcp:{port}:interface=127.0.0.1", f"--admin={self.admin}"],
            cwd=self.home, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        wait_for_port(port, self.server)

    def command(self, *words):
        return [*PROGRAM, f"--server={self.admin}", *words]

    def run_program(self, *words, **more):
        return subprocess.run(
            self.command(*words), env=environment(), capture_output=True, timeout=60, **more
        )

    async def test_what_was_said_outlives_the_server(self):
        done = await in_thread(self.run_program, "block", "192.0.2.0/24", "--reason=scans")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        self.server.kill()
        self.server.wait()
        done = await in_thread(self.run_program, "list")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rb"\Amvmcas-ctl: unix:.* unable to connect.*\n\Z")
        self.start()
        done = await in_thread(self.run_program, "list")
        self.assertIn(b"block   192.0.2.0/24", done.stdout)

    async def test_import_reads_standard_input(self):
        rule = b'{"rule":"block","subject":"x.example","reason":""}\n'
        done = await in_thread(lambda: self.run_program("import", input=rule))
        self.assertEqual((done.returncode, done.stdout), (0, b"1 imported\n"))
        done = await in_thread(self.run_program, "export")
        self.assertEqual(done.stdout, rule)

    async def test_a_reader_that_goes_away_is_no_error(self):
        entries = [{"rule": "block", "subject": f"{n}.example"} for n in range(5000)]
        text = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        await in_thread(lambda: self.run_program("import", input=text))

        def export():
            command = self.command("export")
            pipe = subprocess.Popen(
                command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            with pipe:
                pipe.stdout.readline()
                pipe.stdout.close()
                return pipe.stderr.read()

        self.assertEqual(await in_thread(export), b"")

    async def test_the_table_is_drawn_again_and_again_until_it_is_interrupted(self):
        master, terminal = pty.openpty()
        self.addCleanup(os.close, master)
        program = subprocess.Popen(
            self.command("top", "--interval=0.05"),
            env=environment(TERM="vt100"), stdout=terminal, stderr=terminal,
        )  # fmt: skip
        os.close(terminal)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)

        def until(count):
            seen = b""
            while seen.count(b"\x1b[H\x1b[2J") < count:
                seen += os.read(master, 1000)
            return seen

        self.assertIn(b"questions/min", await in_thread(until, 3))
        self.server.kill()
        self.server.wait()
        seen = b""
        while b"unable to connect" not in seen:
            seen += await in_thread(until, 1)
        program.send_signal(signal.SIGINT)

        def rest():
            seen = b""
            try:
                while piece := os.read(master, 1000):
                    seen += piece
            except OSError:
                pass
            return seen, program.wait()

        seen, status = await in_thread(rest)
        self.assertNotIn(b"Traceback", seen)
        self.assertEqual(status, 0)
