# -*- test-case-name: mvmtr.test.test_mfl_svtest -*-
"""
The extension C{vnd.dovecot.testsuite}: commands and tests by which a Sieve file tests Sieve.

A L{Bench} is where this happens: it holds the message and the envelope, the script that
was compiled last, what went wrong, and where mail went. So that tests can look at what was
delivered it has folders, and C{fileinto} for them; outside of it there is none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from mvmtr.mfl.errors import MflErrors, RunError
from mvmtr.mfl.host import Host, message_source
from mvmtr.mfl.program import Limits, Program, read
from mvmtr.mfl.runtime import Run, Stop
from mvmtr.mfl.sieve import comparison
from mvmtr.mfl.sieve.base import act
from mvmtr.mfl.sieve.result import Action, Result
from mvmtr.mfl.specs import Argument, CommandSpec, Extension, Kind, Needs, Tag, TestSpec, Use

CAPABILITY = "vnd.dovecot.testsuite"
_NEEDED = (CAPABILITY,)
_FIRST_MESSAGE = b"""\
From: sender@example.org
To: recipient@example.org
Subject: Frop

Frop!
"""
_INBOX = b"INBOX"

Function = Callable[[Run, Sequence[Any]], Any]


class TestFailed(Exception):
    """A test said that it failed."""


class Bench:
    """
    What the tests of one file work with.

    @param folder: of the file; names of scripts are relative to it.
    @ivar report: takes the name of a test that ran, and why it failed, or C{None}.
    @ivar program: the file itself, once it is read.
    @ivar errors: of the script that was compiled or run last.
    @ivar sent: messages that were sent on last, each with its recipient.
    @ivar folders: messages that were stored.
    """

    def __init__(self, folder: str, report: Callable[[str, str | None], None]) -> None:
        self.folder = folder
        self.report = report
        self.program: Program | None = None
        self.host = Host(
            sender=b"sender@example.org",
            recipients=(b"recipient@example.org",),
            message=message_source(_FIRST_MESSAGE),
        )
        self.errors: list[bytes] = []
        self.sent: list[tuple[bytes, bytes]] = []
        self.folders: dict[bytes, list[bytes]] = {}
        self._script: Program | None = None
        self._saved: dict[bytes, Program | None] = {}

    # The tests

    def test(self, run: Run, name: bytes) -> AbstractContextManager[None]:
        """What runs around a test. Each of them may use up what the limits allow."""
        run.steps, run.memory = run.limits.steps, run.limits.memory
        run.deadline = time.monotonic() + run.limits.seconds
        return self._around(name.decode("utf-8", "replace"))

    @contextmanager
    def _around(self, name: str) -> Iterator[None]:
        self.errors = []
        try:
            yield
        except (TestFailed, RunError) as error:
            self.report(name, self._told(error))
        except Stop:
            self.report(name, None)
        else:
            self.report(name, None)

    def _told(self, error: Exception) -> str:
        if isinstance(error, TestFailed):
            return str(error)
        place = self.program.place_of(error.__traceback__) if self.program else ""
        return f"{place}: {error}"

    # What they work on

    def set(self, run: Run, name: bytes, value: bytes) -> None:
        """C{test_set}: the message or a part of the envelope."""
        if name == b"message":
            self._use_message(run, value)
        elif name == b"envelope.from":
            self.host.sender = _path(value)
        elif name in (b"envelope.to", b"envelope.orig_to"):
            self.host.recipients = (_path(value),)
        elif name == b"envelope.auth":
            self.host.auth_user = value
        else:
            raise run.problem(f"there is nothing to set by the name of {name.decode()!r}")

    def _use_message(self, run: Run, text: bytes) -> None:
        self.host.message = message_source(text)
        run.message = None
        run.state.clear()

    def configure(self, run: Run, name: bytes, value: bytes | None) -> None:
        """C{test_config_set} and, without a value, C{test_config_unset}."""
        self.host.settings.pop(name, None)
        if value is not None:
            self.host.settings[name] = value

    # Scripts

    def compile(self, run: Run, name: bytes) -> bool:
        """C{test_script_compile}"""
        path = os.path.join(self.folder, os.fsdecode(name))
        self.errors = []
        try:
            self._script = self.read(path)
        except MflErrors as problems:
            self.errors = [problem.message.encode() for problem in problems.problems]
            # Those who count the errors of a script expect this one behind them.
            self.errors.append(b"validation failed")
            return False
        return True

    def read(self, path: str, text: bytes | None = None) -> Program:
        """
        Read a Sieve file.

        @raise MflErrors: with everything that is wrong.
        """
        folders = {
            "personal": os.path.join(self.folder, "included"),
            "global": os.path.join(self.folder, "included-global"),
        }
        return read(
            path,
            text,
            root=self.folder,
            folders=folders,
            sieve=True,
            extensions=extensions(self),
            testing=True,
            host=self.host,
        )

    def run(self, run: Run, append: bool = False) -> bool:
        """C{test_script_run}"""
        self.errors = []
        if self._script is None:
            raise run.problem("there is no script to run")
        if not append:
            run.result = Result()
        inner = Run(self.host, Limits())
        inner.message = run.message
        inner.result = run.result
        try:
            if "message" in self._script.hooks:
                self._script.execute("$hook_message", inner)
        except RunError as error:
            self.errors.append(error.message.encode())
            return False
        return True

    def run_each(self, run: Run, names: Sequence[bytes]) -> bool:
        """C{test_multiscript}: one script after the other, as long as the message is kept."""
        run.result = Result()
        for name in names:
            if not self.compile(run, name) or not self.run(run, append=True):
                return False
            if not run.result.kept:
                break
        return True

    def save(self, run: Run, name: bytes) -> None:
        """C{test_binary_save}"""
        self._saved[name] = self._script

    def load(self, run: Run, name: bytes) -> None:
        """C{test_binary_load}"""
        if name not in self._saved:
            raise run.problem(f"nothing was saved as {name.decode()!r}")
        self._script = self._saved[name]

    # What scripts did

    @staticmethod
    def actions(run: Run) -> list[bytes]:
        """The names of the actions so far."""
        return [action.name.encode() for action in run.result.actions]

    def deliver(self, run: Run) -> bool:
        """C{test_result_execute}"""
        message = run.message
        self.sent = []
        for action in run.result.actions:
            header = message.original if action.header is None else action.header
            text = header + b"\n" + message.body()
            if action.name == "redirect":
                self.sent.append((action.text, text))
            elif action.name == "store":
                self.folders.setdefault(action.text, []).append(text)
        if run.result.kept:
            text = message.header() + b"\n" + message.body()
            self.folders.setdefault(_INBOX, []).append(text)
        return True

    def fetch(self, run: Run, number: int, folder: bytes | None) -> bool:
        """C{test_message}: go on with a message that was sent, or stored in a folder."""
        if folder is not None:
            stored = self.folders.get(folder, [])
            if number < len(stored):
                self._use_message(run, stored[number])
            return number < len(stored)
        if number < len(self.sent):
            recipient, text = self.sent[number]
            self.host.recipients = (recipient,)
            self._use_message(run, text)
        return number < len(self.sent)


def _path(value: bytes) -> bytes:
    """An address without brackets and route."""
    value = value.strip()
    if value.startswith(b"<") and value.endswith(b">"):
        value = value[1:-1]
    if value.startswith(b"@"):
        value = value.partition(b":")[2]
    return value


def _fail(run: Run, why: bytes) -> None:
    raise TestFailed(why.decode("utf-8", "replace"))


def _forget_result(run: Run) -> None:
    run.result = None


def _plain(function: Callable[..., Any], *names: str) -> Callable[[Use], Function]:
    """A build function for what takes its positional arguments in order."""

    def build(use: Use) -> Function:
        given = [use.arguments[name] for name in names]
        return lambda run, values: function(run, *(each.get(values) for each in given))

    return build


def _fetch(bench: Bench, must: bool) -> Callable[[Use], Function]:
    def build(use: Use) -> Function:
        number, folder = use.arguments["number"].constant, use.tags.get("folder")

        def fetch(run: Run, values: Sequence[Any]) -> bool:
            found = bench.fetch(run, number, folder.get(values) if folder else None)
            if must and not found:
                raise run.problem(f"there is no message number {number}")
            return found

        return fetch

    return build


def _list_test(name: str, listed: Callable[[Run], Sequence[bytes]]) -> TestSpec:
    """A test of a list of strings, or of one of them."""

    def check(use: Use) -> None:
        comparison.check(use, use.arguments["keys"])

    def build(use: Use) -> Function:
        compare = comparison.build(use, use.arguments["keys"])
        index = use.tags.get("index")

        def test(run: Run, values: Sequence[Any]) -> bool:
            found = listed(run)
            if index is not None:
                found = found[index.constant - 1 : index.constant]
            return compare(run, found, values)

        return test

    keys = Argument("keys", Kind.STRINGS)
    index = Tag("index", kind=Kind.NUMBER)
    families = comparison.FAMILIES
    return TestSpec(name, build, (keys,), (index,), families, _NEEDED, check=check)


def _strings(*names: str) -> tuple[Argument, ...]:
    return tuple(Argument(name, Kind.STRING) for name in names)


def _commands(bench: Bench) -> Iterator[CommandSpec]:
    plain: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
        "test_fail": (_fail, ("why",)),
        "test_set": (bench.set, ("name", "value")),
        "test_config_set": (bench.configure, ("name", "value")),
        "test_config_unset": (lambda run, name: bench.configure(run, name, None), ("name",)),
        "test_binary_save": (bench.save, ("name",)),
        "test_binary_load": (bench.load, ("name",)),
        "test_result_reset": (_forget_result, ()),
        "test_result_print": (lambda run: None, ()),
        "test_mailbox_create": (
            lambda run, folder: bench.folders.setdefault(folder, []),
            ("folder",),
        ),
        "test_mailbox_delete": (lambda run, folder: bench.folders.pop(folder, None), ("folder",)),
    }
    for name, (function, names) in plain.items():
        arguments = _strings(*names)
        yield CommandSpec(name, _plain(function, *names), arguments, capabilities=_NEEDED)
    yield CommandSpec(
        "test", _plain(bench.test, "name"), _strings("name"), capabilities=_NEEDED, block=True
    )
    yield CommandSpec(
        "test_config_reload",
        _plain(lambda run: None),
        tags=(Tag("extension", kind=Kind.STRING),),
        capabilities=_NEEDED,
    )
    yield CommandSpec("test_message", _fetch(bench, True), _NUMBER, _WHERE, capabilities=_NEEDED)


_NUMBER = (Argument("number", Kind.NUMBER),)
_WHERE = (Tag("smtp", group="where"), Tag("folder", group="where", kind=Kind.STRING))


def _tests(bench: Bench) -> Iterator[TestSpec]:
    script = _strings("script")
    yield TestSpec(
        "test_script_compile", _plain(bench.compile, "script"), script, capabilities=_NEEDED
    )
    yield TestSpec(
        "test_script_run",
        lambda use: lambda run, values: bench.run(run, "append_result" in use.tags),
        tags=(Tag("append_result"),),
        capabilities=_NEEDED,
    )
    yield TestSpec(
        "test_multiscript",
        _plain(bench.run_each, "scripts"),
        (Argument("scripts", Kind.STRINGS),),
        capabilities=_NEEDED,
    )
    yield TestSpec("test_result_execute", _plain(bench.deliver), capabilities=_NEEDED)
    yield TestSpec("test_message", _fetch(bench, False), _NUMBER, _WHERE, capabilities=_NEEDED)
    yield _list_test("test_error", lambda run: bench.errors)
    yield _list_test("test_result_action", bench.actions)


def _fileinto(use: Use) -> Function:
    folder, copy, place = use.arguments["folder"], "copy" in use.tags, use.place
    return lambda run, values: act(run, Action("store", folder.get(values), copy, place))


def extensions(bench: Bench) -> tuple[Extension, ...]:
    """The extensions for the files that are tested on a bench."""
    fileinto = CommandSpec(
        "fileinto",
        _fileinto,
        _strings("folder"),
        (Tag("copy", capabilities=("copy",)), Tag("create", capabilities=("mailbox",))),
        capabilities=("fileinto",),
        needs=Needs.TRANSACTION,
    )
    return (
        Extension(_NEEDED, tuple(_tests(bench)), tuple(_commands(bench))),
        Extension(("fileinto",), commands=(fileinto,)),
        Extension(("mailbox",)),
    )
