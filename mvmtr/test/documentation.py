"""
What is done with the examples in the documentation.

In front of each example stands a comment C{.. checked: HOW WITH}; L{Examples} has a method
for each HOW. In expected output C{...} stands for anything.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from doctest import ELLIPSIS, OutputChecker
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.testing import MemoryReactor
from twisted.logger import globalLogPublisher
from twisted.python.reflect import namedAny
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

import mvmtr.log
from mvmtr.compat.controlfile import parse_lines
from mvmtr.log import Record
from mvmtr.protocol.server import endpoint_of
from mvmtr.queue import queue_from_string
from mvmtr.settings import Settings
from mvmtr.tap import Options
from mvmtr.test.mfl_examples import MflExamples
from mvmtr.test.names_examples import NamesExamples
from mvmtr.test.pages import Example, examples_of
from mvmtr.test.support import (
    CLIENT,
    ROOT,
    Talk,
    assemble,
    control_folder,
    environment,
    folder,
    free_port,
    wait_for_port,
)

PROGRAMS = Path(sys.executable).parent
CHECKS = ROOT / "examples" / "checks"
QUEUES = ROOT / "examples" / "queues"

HANDED_OVER = (
    "tcpserver -x /etc/tcp.smtp.cdb -u 7791 -g 2108 0 25 mvmtr-handoff /run/mvmtr.sock",
    "tcpserver -x /etc/tcp.smtp.cdb -u 7791 -g 2108 0 25 mvmtr-handoff --fallback /run/mvmtr.sock "
    "--control-dir=/var/qmail/control",
)

BY_HAND = {
    "pip install .": "wants to fetch packages",
    "tcpserver -x /etc/tcp.smtp.cdb -u 7791 -g 2108 0 25 /var/qmail/bin/qmail-smtpd": "not ours",
    **dict.fromkeys(
        HANDED_OVER, "wants port 25; test_handoff_tcpserver has the same with another port"
    ),
}
"""Commands that no test runs, and why."""

PATIENCE = 20
"""Seconds to wait for what takes no time on a machine that is not busy."""


def matches(wanted: str, got: str) -> bool:
    """Whether an output is the wanted one."""
    return OutputChecker().check_output(wanted + "\n", got + "\n", ELLIPSIS)


def watch(test: SynchronousTestCase) -> list[Record]:
    """What is logged about sessions, from now to the end of the test."""
    records: list[Record] = []

    def note(event: Any) -> None:
        if "record" in event:
            records.append(event["record"])

    globalLogPublisher.addObserver(note)
    test.addCleanup(globalLogPublisher.removeObserver, note)
    return records


class Examples(NamesExamples, MflExamples):
    """
    What the examples of one page do, from the first to the last, in a folder of their own.

    @param test: the test that fails when one of them is wrong.
    """

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.home = folder(test)
        shutil.copytree(ROOT / "examples", self.home / "examples")
        self.port = free_port()
        sender = self.home / "examples" / "send.py"
        sender.write_text(self._here(sender.read_text()))
        self.control: dict[str, str] = {}
        self.latest = ""
        self.variables: dict[str, Any] = {}
        self.lines: list[str] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.environment = environment(PATH=f"{PROGRAMS}:{os.environ['PATH']}")
        test.addCleanup(self._stop)
        test.patch(sys, "path", [str(CHECKS), str(QUEUES), *sys.path])
        test.patch(mvmtr.log, "_twistd", {})

    def hold(self, page: str) -> int:
        """Go through a page; how many examples it has."""
        count = 0
        for example in examples_of(page):
            getattr(self, f"is_{example.how}")(example)
            count += 1
        return count

    def _here(self, text: str) -> str:
        text = self.with_names(text).replace("2525", str(self.port))
        return text.replace(".venv/bin/", f"{PROGRAMS}/")

    def _expect(self, wanted: str, got: str, what: str) -> None:
        if not matches(wanted, got):
            self.test.fail(f"{what}\nwanted:\n{wanted}\ngot:\n{got}")

    # What needs no checking, or is checked elsewhere

    def is_picture(self, example: Example) -> None:
        """Nothing that could be run."""

    def is_folders(self, example: Example) -> None:
        """A map of the source: what is named is there."""
        for line in example.text.splitlines():
            self.test.assertTrue((ROOT / line.split()[0]).exists(), line)

    def is_by(self, example: Example) -> None:
        """By hand: one of the few commands that can't be run here."""
        for command, _output in example.commands:
            self.test.assertIn(command, BY_HAND)

    def is_example(self, example: Example) -> None:
        """A file of its own, which has tests of its own."""
        assert example.source is not None
        *_folders, kind, name = Path(example.source).parts
        text = (ROOT / "examples" / kind / name).read_text()
        self.test.assertEqual(example.text.rstrip("\n"), text.rstrip("\n"))

    # What is run

    def is_python(self, example: Example) -> None:
        """A piece of Python that asserts something."""
        self.test.assertIn("assert ", example.text)
        exec(compile(example.text, "<documentation>", "exec"), self.variables)

    def is_file(self, example: Example) -> None:
        """A file that the reader is to make or to replace."""
        path = self.home / example.words[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.text + "\n")

    def is_assign(self, example: Example) -> None:
        """The file users/assign of qmail, made a cdb; the words are files in each home."""
        records = [b"+0,1:->-"]
        for line in example.text.splitlines()[:-1]:
            name, *fields = line[1:].split(":")
            home = Path(f"{self.home}{fields[3]}")
            home.mkdir(parents=True, exist_ok=True)
            for word in example.words:
                (home / word).touch()
            end = "\0" if line[0] == "=" else ""
            key = f"!{name}{end}"
            value = "\0".join([*fields[:3], str(home), *fields[4:6]]) + end
            records.append(f"+{len(key)},{len(value)}:{key}->{value}".encode())
        users = self.home / "examples" / "users"
        users.mkdir(exist_ok=True)
        data = b"\n".join(records) + b"\n\n"
        subprocess.run(["cdbmake", "cdb", "tmp"], input=data, cwd=users, check=True)

    def is_run(self, example: Example) -> None:
        """Commands and their output."""
        for command, wanted in example.commands:
            done = subprocess.run(
                ["sh", "-c", self._here(command)],
                cwd=self.home,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=60,
            )
            self._expect(wanted, done.stdout.decode().removesuffix("\n"), command)

    def is_trial(self, example: Example) -> None:
        """Tests that can be run alone."""
        for command, _output in example.commands:
            namedAny(command.split()[-1])

    def is_make(self, example: Example) -> None:
        """A target of the Makefile."""
        for command, _output in example.commands:
            self._make(command)

    def _make(self, command: str) -> str:
        make, target = command.split()
        return subprocess.run(
            [make, "--dry-run", "-C", ROOT, target], check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def is_server(self, example: Example) -> None:
        """A server that goes on running; it takes the place of the one before."""
        self._stop()
        ((command, _output),) = example.commands
        if command.startswith("make "):
            plain = self._make(command).replace("\\\n", " ")
            command = re.findall(r"^exec (.*)$", plain, re.MULTILINE)[0]
        self.log = self.home / "log"
        words = shlex.split(self._here(command))
        variables = dict(self.environment)
        if words[0].startswith("PYTHONPATH="):
            variables["PYTHONPATH"] += f":{words.pop(0).removeprefix('PYTHONPATH=')}"
        with self.log.open("wb") as log:
            self.server = subprocess.Popen(
                words,
                cwd=self.home,
                env=variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for_port(self.port, self.server)

    def _stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
            self.server = None

    def is_log(self, example: Example) -> None:
        """Lines of the log of the server that runs now; the last may take a moment."""
        end = time.monotonic() + PATIENCE
        while not self._in_order(example, self.log.read_text().splitlines()):
            if time.monotonic() > end:
                self.test.fail(f"wanted:\n{example.text}\nin:\n{self.log.read_text()}")
            time.sleep(0.05)

    def is_lines(self, example: Example) -> None:
        """Lines of the log that the last conversation left."""
        if not self._in_order(example, self.lines):
            self.test.fail("wanted:\n{}\nin:\n{}".format(example.text, "\n".join(self.lines)))

    def _in_order(self, example: Example, lines: list[str]) -> bool:
        left = iter(lines)
        return all(
            any(matches(wanted, line) for line in left) for wanted in example.text.splitlines()
        )

    # Command lines

    def is_options(self, example: Example) -> None:
        """Command lines of mvmtr that are only looked at: every option must be valid."""
        for command, _output in example.commands:
            try:
                self._check_options(self._parse(command))
            except SystemExit as error:
                self.test.fail(f"{command}: {error}")

    def is_refused(self, example: Example) -> None:
        """Command lines that mvmtr refuses, and what it says."""
        for command, wanted in example.commands:
            error = self.test.assertRaises(SystemExit, self._parse, command)
            self._expect(wanted, str(error), command)

    def _parse(self, command: str) -> Options:
        words = shlex.split(command)
        # The program mvmtr is twistd with this command and no other.
        words = words[words.index("twistd") + 1 if "twistd" in words else words.index("mvmtr") :]
        user = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        stand_ins = {"--uid=qmaild": f"--uid={user}", "--gid=nofiles": f"--gid={group}"}
        twistd = ServerOptions()
        twistd.parseOptions([stand_ins.get(word, word) for word in words])
        assert isinstance(twistd.subOptions, Options)
        return twistd.subOptions

    def _check_options(self, options: Options) -> None:
        sources = options.sources()
        for name, text in sources.overrides.items():
            Settings.parse(name, text)
        for description in options["listen"]:
            endpoint_of(MemoryReactor(), description)
        here = os.getcwd()
        os.chdir(self.home)
        try:
            queue_from_string(sources.queue, str(self.home), None)
        finally:
            os.chdir(here)

    # Control files and conversations

    def is_control(self, example: Example) -> None:
        """A control file; with those before it, it holds for the conversation that follows."""
        self.latest = self.control[example.words[0]] = example.text + "\n"

    def is_read(self, example: Example) -> None:
        """How the control file before it is read."""
        read = [line.text.decode() for line in parse_lines(self.latest.encode())]
        self.test.assertEqual(read, example.text.splitlines())

    def is_talk(self, example: Example) -> None:
        """
        A conversation, with the server that runs or else with one made for it; C{NAME=VALUE}
        sets a variable of the environment, or else C{client} for the address of the client.
        """
        if self.server is not None:
            (source,) = [word.removeprefix("client=") for word in example.words] or ["127.0.0.1"]
            address = "127.0.0.1", self.port
            peer = socket.create_connection(address, PATIENCE, (source, 0))
            with peer, peer.makefile("rb") as said:
                if example.text.startswith("C:"):
                    said.readline()
                self._play(example, peer.sendall, lambda count: b"".join(islice(said, count)))
            return
        control = control_folder(folder(self.test), self.control)
        self.control = {}
        assignments = (word.partition("=") for word in example.words if word[:1] != "-")
        variables = {name.encode(): value.encode() for name, _equals, value in assignments}
        own = [word for word in example.words if word[:1] == "-"]
        options = Options()
        options.parseOptions(["--no-qmail", *own])
        records = watch(self.test)
        assembly = assemble(control, checks=tuple(options["checks"]))
        talk = Talk(assembly, replace(CLIENT, environment=variables))
        self._play(example, talk.receiver.dataReceived, lambda _count: talk.said)
        talk.receiver.connectionLost(connectionDone)
        self.lines = [str(record) for record in records]

    def is_busy(self, example: Example) -> None:
        """What a client hears that has a connection already."""
        address = "127.0.0.1", self.port
        with socket.create_connection(address), socket.create_connection(address) as second:
            got = second.makefile("rb").readline().decode().rstrip()
            self._expect(example.text, f"S: {got}", "a second connection")

    def _play(self, example: Example, send: Any, receive: Any) -> None:
        """Send the lines of the client, and compare what comes in between."""
        lines = groupby(example.text.splitlines(), lambda line: line.startswith("C:"))
        for is_ours, group in lines:
            said = [line[2:].removeprefix(" ") if line[1:2] == ":" else line for line in group]
            if is_ours:
                for line in said:
                    send(line.encode() + b"\r\n")
            else:
                got = receive(len(said)).decode().replace("\r\n", "\n").removesuffix("\n")
                self._expect("\n".join(said), got, example.text)
