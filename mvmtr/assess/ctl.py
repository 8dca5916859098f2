# -*- test-case-name: mvmtr.test.test_assess_ctl -*-
"""
The program C{mvmcas-ctl}: what a postmaster says to mvmcas, and asks of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, TextIO

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from mvmtr import __version__
from mvmtr.assess import dates, display
from mvmtr.assess.activity import ORDERS
from mvmtr.assess.admin import Admin, entries_in, take, with_entries
from mvmtr.assess.client import PolicyClient, Unavailable
from mvmtr.assess.engine import Engine
from mvmtr.assess.entries import BadEntry, line_of, read_line
from mvmtr.assess.rules import ACTIONS
from mvmtr.assess.service import Assessment
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores import StoreError, store_from_string
from mvmtr.assess.wire import Attributes
from mvmtr.values import SettingError

SERVER = "unix:/run/mvmcas-admin"
TIMEOUT = 60.0
"""Seconds that an answer may take; mvmcas gives up before that."""

INTERVAL_MIN = 0.05
"""Seconds from one table to the next, at least."""

CLEAR = "\x1b[H\x1b[2J"
LINE_MAX = 16384
"""Characters of an entry in a file that is imported."""


class Failed(Exception):
    """Something can't be done; the text says what and why."""


class Caller:
    """
    Commands to a server, or to a store that has none.

    @param name: of either.
    @param answer: what takes a request and gives the answer.
    """

    def __init__(self, name: str, answer: Callable[[Attributes], Awaitable[Attributes]]) -> None:
        self.name = name
        self._answer = answer

    async def call(self, command: str, **attributes: str) -> Attributes:
        """One command. Raises L{Failed}."""
        named = {
            b"mvmcas_" + name.encode(): value.encode("utf-8", "backslashreplace")
            for name, value in attributes.items()
        }
        return await self.send({b"mvmcas_command": command.encode(), **named})

    async def send(self, attributes: Attributes) -> Attributes:
        """One request. Raises L{Failed}."""
        try:
            answer = await self._answer({b"request": b"mvmcas_admin", **attributes})
        except Unavailable as error:
            raise Failed(f"{self.name}: {error}") from None
        if b"mvmcas_error" in answer:
            raise Failed(display.plain(answer[b"mvmcas_error"]))
        if b"mvmcas_count" not in answer:
            raise Failed(f"{self.name} takes no commands; mvmcas wants --admin={self.name}")
        return answer

    async def lines(self, command: str, **attributes: str) -> AsyncGenerator[str, None]:
        """The entries that a command gives, however many answers they take."""
        while True:
            answer = await self.call(command, **attributes)
            for line in entries_in(answer):
                yield line
            if b"mvmcas_cursor" not in answer:
                return
            attributes = {"cursor": answer[b"mvmcas_cursor"].decode()}


# Commands


async def put_rule(caller: Caller, options: Namespace) -> None:
    """Block, allow, let relay, or make a trap."""
    entry = {"rule": options.command, "subject": options.subject, "reason": options.reason}
    if options.until:
        entry["until"] = dates.written(options.until)
    answer = await caller.send({b"mvmcas_command": b"put", **with_entries([line_of(entry)])})
    if b"mvmcas_note" in answer:
        print(f"note: {display.plain(answer[b'mvmcas_note'])}", file=sys.stderr)


async def forget(caller: Caller, options: Namespace) -> None:
    """Forget what is about something."""
    only = {"only": "rules"} if options.rules else {}
    answer = await caller.call("forget", subject=options.subject, **only)
    print(f"{answer[b'mvmcas_count'].decode()} forgotten")
    if b"mvmcas_note" in answer:
        print(f"note: {display.plain(answer[b'mvmcas_note'])}", file=sys.stderr)


async def list_rules(caller: Caller, options: Namespace) -> None:
    """All rules, or those of one kind."""
    found = {}
    async with aclosing(caller.lines("list", prefix="rule ")) as lines:
        async for line in lines:
            entry = json.loads(line)
            action = entry.get("rule") or entry["values"]["action"]
            if options.action in (None, action):
                found[line] = entry
    if options.json:
        print(*sorted(found), sep="\n", end="\n" if found else "")
    else:
        print(*display.rules(found.values()), sep="\n")


async def show(caller: Caller, options: Namespace) -> None:
    """All that is known about something, and what holds for it."""
    is_empty = True
    async with aclosing(caller.lines("show", subject=options.subject)) as lines:
        async for line in lines:
            is_empty = False
            print(line if options.json else display.known(json.loads(line), time.time()))
    if is_empty and not options.json:
        print(f"nothing is known about {display.plain(options.subject)}")


async def export(caller: Caller, options: Namespace) -> None:
    """Rules as lines of JSON, or all that is known. Rules of files are left out."""
    async with aclosing(caller.lines("list", prefix="" if options.all else "rule ")) as lines:
        async for line in lines:
            entry = json.loads(line)
            entry.pop("points_now", None)
            if "file" not in entry:
                print(line_of(entry))


async def bring_back(caller: Caller, options: Namespace) -> None:
    """Import lines of JSON. All are looked at before the first is sent."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as copy:
        for line in _good_lines(options.file):
            copy.write(line)
        copy.seek(0)
        number = 0
        waiting: deque[str] = deque()
        for line in copy:
            waiting.append(line.rstrip("\n"))
            if len(waiting) >= 1000:
                number += await _put(caller, waiting)
        while waiting:
            number += await _put(caller, waiting)
    print(f"{number} imported")


def _good_lines(file: TextIO) -> Iterable[str]:
    number = 0
    try:
        while line := file.readline(LINE_MAX):
            number += 1
            if line.strip():
                read_line(line)
                yield line.rstrip("\n") + "\n"
    except (BadEntry, UnicodeDecodeError) as error:
        raise Failed(f"{file.name}:{number or 1}: {error}; nothing was imported") from None


async def _put(caller: Caller, waiting: deque[str]) -> int:
    request = {b"mvmcas_command": b"put", **with_entries(take(waiting))}
    return int((await caller.send(request))[b"mvmcas_count"])


async def top(caller: Caller, options: Namespace) -> None:
    """The table of clients, once or until interrupted."""
    from twisted.internet import reactor

    if options.store:
        raise Failed("top wants a server: what clients do is not in the store")
    while True:
        size = shutil.get_terminal_size()
        rows = options.rows or max(1, size.lines - 4)
        try:
            answer = await caller.call("top", rows=str(rows), order=options.sort)
            shown = list(map(json.loads, entries_in(answer)))
        except Failed as error:
            if options.once:
                raise
            text = f"{error}\n"
        else:
            width = size.columns if sys.stdout.isatty() else 1000
            text = "".join(f"{line}\n" for line in display.top(shown, width))
        print("" if options.once else CLEAR, text, sep="", end="", flush=True)
        if options.once:
            return
        await deferLater(reactor, max(INTERVAL_MIN, options.interval))


# The command line


def _end(text: str) -> float:
    try:
        return dates.until(text, round(time.time()))
    except dates.BadDate as error:
        raise ArgumentTypeError(str(error)) from None


def _file(name: str) -> TextIO:
    try:
        return open(0 if name == "-" else name, encoding="utf-8")
    except OSError as error:
        raise ArgumentTypeError(f"{name}: {error.strerror}") from None


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mvmcas-ctl", description="Say something to mvmcas, or ask it.")
    parser.add_argument("--version", action="version", version=f"mvmcas-ctl {__version__}")
    add = parser.add_argument
    add("--server", default=SERVER, help="endpoint that mvmcas was given as --admin [%(default)s]")
    add("--store", help="a store, instead of a server: sqlite:/path, redis:HOST")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a control, with --store")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for action, meaning in _MEANINGS.items():
        one = commands.add_parser(action, help=meaning)
        one.set_defaults(run=put_rule)
        one.add_argument("subject", help="address, network, domain, sender; of a trap: recipient")
        one.add_argument("--reason", default="", help="why; a client that is refused hears it")
        one.add_argument("--until", type=_end, default=0.0, help="2026-12-31 or 7d [for ever]")
    one = commands.add_parser("forget", help="forget all that is about something")
    one.set_defaults(run=forget)
    one.add_argument("--rules", action="store_true", help="only the rule")
    one.add_argument("subject")
    one = commands.add_parser("list", help="the rules")
    one.set_defaults(run=list_rules)
    one.add_argument("--json", action="store_true", help="lines of JSON")
    one.add_argument("action", nargs="?", choices=ACTIONS)
    one = commands.add_parser("show", help="all that is known about something")
    one.set_defaults(run=show)
    one.add_argument("--json", action="store_true", help="lines of JSON")
    one.add_argument("subject")
    _add_more(commands)
    return parser


_MEANINGS = {
    "block": "refuse a client or a sender",
    "allow": "neither put off nor refuse it",
    "relay": "let a client send to everywhere",
    "trap": "give points to those who write to a recipient",
}


def _add_more(commands: Any) -> None:
    one = commands.add_parser("export", help="the rules as lines of JSON")
    one.set_defaults(run=export)
    one.add_argument("--all", action="store_true", help="and all else that is known")
    one = commands.add_parser("import", help="bring back what was exported")
    one.set_defaults(run=bring_back)
    one.add_argument("file", nargs="?", type=_file, default="-", help="[standard input]")
    one = commands.add_parser("top", help="a live table of clients")
    one.set_defaults(run=top)
    one.add_argument("--once", action="store_true", help="print it once and end")
    one.add_argument("--sort", choices=ORDERS, default="rate", help="[%(default)s]")
    one.add_argument("--rows", type=int, default=0, help="clients [as the terminal has room]")
    one.add_argument("--interval", type=float, default=2.0, help="seconds [%(default)s]")


async def _caller(options: Namespace, reactor: Any) -> tuple[Caller, Callable[[], Awaitable[None]]]:
    """A caller, and what lets go of what it uses."""
    if options.store:
        pairs = [assignment.partition("=")[::2] for assignment in options.set]
        values = {name: AssessSettings.parse(name, text) for name, text in pairs}
        settings = AssessSettings().with_(values, {})
        store = store_from_string(options.store, reactor)
        await store.open()
        admin = Admin(Assessment(Engine(settings), store, reactor))
        return Caller(store.name, admin.answer), store.close
    try:
        client = PolicyClient(options.server, reactor)
    except ValueError as error:
        raise Failed(f"--server={options.server}: {error}") from None

    async def close() -> None:
        client.close()

    return Caller(options.server, lambda request: client.ask(request, TIMEOUT)), close


async def _run(reactor: Any, options: Namespace) -> None:
    try:
        caller, close = await _caller(options, reactor)
        try:
            await options.run(caller, options)
        finally:
            await close()
    except (Failed, StoreError, SettingError) as error:
        raise SystemExit(f"mvmcas-ctl: {error}") from None
    except BrokenPipeError:
        # Whoever reads has seen enough. What is left to write can't be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """The program."""
    options = _parser().parse_args()
    react(lambda reactor: Deferred.fromCoroutine(_run(reactor, options)))


if __name__ == "__main__":
    main()
