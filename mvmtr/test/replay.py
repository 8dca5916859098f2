"""
Replays conversations that were recorded with qmail-smtpd 1.03, and compares.

Each file C{transcripts/TOPIC/NAME.json} is one case:

  - C{control}: the files of the control folder; C{{"directory": true}} and
    C{{"symlink": to}} stand for files that can't be read.
  - C{env} and C{args}: environment and arguments of the server.
  - C{qmail_queue_exit}: what the queue program does, or a list of that for one run after
    another: an exit code, C{signal:N}, C{early:N}, C{missing} or C{not-executable}.
  - C{steps}: what the client does. C{send} bytes, then wait for so many more C{replies};
    C{drained}: wait until the server has read everything; C{pause_ms}; C{half_close};
    C{hang_up}; C{until_close}: wait for the server to close.
  - C{recorded}: what qmail-smtpd did.

Bytes are text of the characters U+0000 to U+00FF, or C{{"base64": …}}, or
C{{"repeat": …, "times": N}}, or a list of such pieces; recorded ones over 2000 bytes are
length, digest, head and tail.
"""

from __future__ import annotations

import base64
import calendar
import contextlib
import hashlib
import json
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvmtr.test.support import Recorder

TRANSCRIPTS = Path(__file__).parent / "transcripts"

PATIENCE = 30
"""Seconds to wait for what has to come; only a broken server makes anybody wait so long."""

_LONGEST_SHOWN = 2000


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case and its name, C{topic/name}."""
    for path in sorted(TRANSCRIPTS.glob("*/*.json")):
        yield f"{path.parent.name}/{path.stem}", json.loads(path.read_text())


def decoded(value: Any) -> bytes:
    """The bytes that a JSON value stands for."""
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, list):
        return b"".join(map(decoded, value))
    if "base64" in value:
        return base64.b64decode(value["base64"])
    return decoded(value["repeat"]) * int(value["times"])


def shown(data: bytes) -> Any:
    """Bytes in the form of recorded ones."""
    if len(data) <= _LONGEST_SHOWN:
        return data.decode("latin-1")
    return {
        "length": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "head": data[:80].decode("latin-1"),
        "tail": data[-80:].decode("latin-1"),
    }


# The world of a case


def environment_of(case: dict[str, Any]) -> dict[bytes, bytes]:
    """The environment of the server."""
    return {name.encode(): decoded(value) for name, value in case["env"].items()}


def control_folder_of(case: dict[str, Any], home: Path) -> Path:
    """The control folder, with all that is in it."""
    control = home / "control"
    control.mkdir()
    for name, value in case["control"].items():
        path = control / name
        if isinstance(value, dict) and "directory" in value:
            path.mkdir()
        elif isinstance(value, dict) and "symlink" in value:
            path.symlink_to(value["symlink"])
        else:
            path.write_bytes(decoded(value))
    return control


def recorder_of(case: dict[str, Any], home: Path) -> Recorder:
    """The queue program, which does what the case says."""
    what = case["qmail_queue_exit"]
    plan = what if isinstance(what, list) else [what]
    recorder = Recorder(home, plan)
    if plan[0] == "missing":
        recorder.program.unlink()
    elif plan[0] == "not-executable":
        recorder.program.chmod(0o644)
    return recorder


# The client


class Client:
    """
    A client that takes the steps of a case and never forgets to read.

    @param connection: a connected stream socket.
    @param drained: tells whether the server has read as many bytes as it is given.
    @ivar received: all that the server has sent.
    """

    def __init__(self, connection: socket.socket, drained: Callable[[int], bool]) -> None:
        self.received = b""
        self._socket = connection
        self._drained = drained
        self._sent = 0
        self._wanted = 0
        self._closed = False

    def converse(self, steps: Iterable[dict[str, Any]]) -> str:
        """Take all steps, and wait for the end; who closed first, C{server} or C{client}."""
        closed_by = ""
        with self._socket:
            for step in steps:
                self._take(step)
                if "half_close" in step or "hang_up" in step:
                    self._look()
                    if not self._closed:
                        closed_by = closed_by or "client"
                        self._shut(socket.SHUT_WR if "half_close" in step else socket.SHUT_RDWR)
                    if "hang_up" in step:
                        return closed_by or "server"
            self._until(lambda: self._closed, "the end")
        return closed_by or "server"

    def _shut(self, how: int) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(how)

    def _take(self, step: dict[str, Any]) -> None:
        if "send" in step:
            self._send(decoded(step["send"]))
        if "drained" in step:
            self._until(lambda: self._closed or self._drained(self._sent), "the server to read")
        if "pause_ms" in step:
            time.sleep(step["pause_ms"] / 1000)
        if "replies" in step:
            self._wanted += step["replies"]
            self._until(self._answered, f"reply {self._wanted}")
        if "until_close" in step:
            self._until(lambda: self._closed, "the end")

    def _answered(self) -> bool:
        return self._closed or len(replies_in(self.received)[0]) >= self._wanted

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        end = time.monotonic() + PATIENCE
        while left and time.monotonic() < end:
            self._look()
            _readable, writable, _ = select.select([], [self._socket], [], 0.05)
            if writable:
                try:
                    left = left[self._socket.send(left, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    continue
                except OSError:
                    # The server is gone. What it said before is what counts.
                    return
        self._sent += len(data)

    def _until(self, there: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not there():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}; so far {self.received!r}")
            self._look(0.01)

    def _look(self, timeout: float = 0) -> None:
        """Read what there is, or see that the server has closed."""
        if self._closed:
            return
        readable, _writable, _ = select.select([self._socket], [], [], timeout)
        if readable:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            self.received += data
            self._closed = not data


_REPLY_LINE = re.compile(r"(\d{3})([ -])([^\r\n\0]*)")


def replies_in(data: bytes) -> tuple[list[tuple[int, str]], bytes]:
    """The complete replies, each as code and text, lines joined by blanks; and the rest."""
    replies = []
    lines: list[str] = []
    *whole, rest = data.split(b"\r\n")
    for line in whole:
        match = _REPLY_LINE.fullmatch(line.decode("latin-1"))
        if match is None:
            raise AssertionError(f"no line of a reply: {line!r}")
        lines.append(match[3])
        if match[2] == " ":
            replies.append((int(match[1]), " ".join(lines)))
            lines = []
    return replies, rest


# What came of it, in the form in which it is compared

TAKEN = "250 ok TIME qp PID"

_TAKEN = re.compile(r"2\.0\.0 ok (\d+) qp (\d+)")
_STATUS = re.compile(r"([45])\.\d{1,3}\.\d{1,3} (.*)")
_DATE = re.compile(r"; (\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d) -0000\n\Z")


@dataclass
class Run:
    """One run of the queue program; C{None} for what it did not read."""

    received: str | None = None
    message: Any = None
    envelope: Any = None


@dataclass
class Outcome:
    """
    What a server did.

    @ivar replies: C{"250"}; L{TAKEN}; C{"553 text"} for a refusal.
    @ivar exit: the exit status of a process: 0 after QUIT, 1 otherwise.
    """

    replies: list[str]
    closed_by: str
    exit: int
    runs: list[Run]


def observed(
    begin: float, client: Client, closed_by: str, status: int, recorder: Recorder
) -> Outcome:
    """
    What a server did.

    @param begin: when the conversation began.
    """
    replies, rest = replies_in(client.received)
    assert not rest, f"an unfinished reply: {rest!r}"
    pids = {int(recorder.recorded("pid", run)) for run in range(recorder.runs)}
    return Outcome(
        replies=[_reply(code, text, pids, begin) for code, text in replies],
        closed_by=closed_by,
        exit=status,
        runs=[_run(recorder, run, begin) for run in range(recorder.runs)],
    )


def _reply(code: int, text: str, pids: set[int], begin: float) -> str:
    """
    A reply as it is compared: of 2xx the code, unless it tells that a message was taken;
    of the others qmail's text, when the right enhanced status code stands in front of it.
    """
    if code < 400:
        match = _TAKEN.fullmatch(text)
        if match and int(match[2]) in pids and _is_now(int(match[1]), begin):
            return TAKEN
        return str(code)
    match = _STATUS.fullmatch(text)
    if match is None or match[1] != str(code)[0]:
        return f"{code} {text} (which has no right enhanced status code)"
    status, _blank, plain = text.partition(" ")
    own = re.search(r"\(#(\S+)\)$", plain)
    if own is not None and own[1] != status:
        return f"{code} {text} (which has two different status codes)"
    return f"{code} {plain}"


def _is_now(when: float, begin: float) -> bool:
    return begin - 2 <= when <= time.time() + 2


def _run(recorder: Recorder, number: int, begin: float) -> Run:
    assert recorder.recorded("cwd", number) == os.fsencode(recorder.program.parent.parent)
    if not (recorder.records / f"run{number}" / "message").exists():
        return Run()
    message = recorder.recorded("message", number)
    cut = message.find(b"\n", message.find(b"\n") + 1) + 1
    received = message[:cut].decode("latin-1")
    date = _DATE.search(received)
    if date and _is_now(calendar.timegm(time.strptime(date[1], "%d %b %Y %H:%M:%S")), begin):
        received = received[: date.start()] + "; $DATE\n"
    envelope = recorder.recorded("envelope", number)
    return Run(received, shown(message[cut:]), shown(envelope))


def recorded(case: dict[str, Any], runs: Iterable[int] | None = None) -> Outcome:
    """
    What qmail-smtpd did, without the texts of 2xx replies, which are never compared.

    @param runs: which runs of the queue program count. When not given, all but those for a
        message that was cut off or too large (difference 13).
    """
    result = case["recorded"]
    queue = result["queue"]
    if runs is None:
        runs = [number for number, entry in enumerate(queue) if entry.get("envelope") != ""]
    esmtp = list(_greeted_by_ehlo(result["replies"]))
    return Outcome(
        replies=[_recorded_reply(reply) for reply in result["replies"]],
        closed_by=result["closed_by"],
        exit=result["exit"],
        runs=[_recorded_run(queue[number], esmtp[number]) for number in runs],
    )


def _recorded_reply(reply: dict[str, Any]) -> str:
    text = " ".join(reply["text"])
    if reply["code"] >= 400:
        return f"{reply['code']} {text}"
    return TAKEN if text == "ok $TIME qp $PID" else str(reply["code"])


def _recorded_run(entry: dict[str, Any], esmtp: bool) -> Run:
    run = Run(entry.get("received"), entry.get("message"), entry.get("envelope"))
    if run.received is not None and esmtp:
        # Difference 10.
        run.received = run.received.replace(" with SMTP;", " with ESMTP;")
    return run


def _greeted_by_ehlo(replies: list[dict[str, Any]]) -> Iterator[bool]:
    """For each DATA that was answered 354, whether the last greeting before it was EHLO."""
    esmtp = False
    for reply in replies:
        verb = reply["to"].upper()[:4]
        if verb in ("HELO", "EHLO") and reply["code"] == 250:
            esmtp = verb == "EHLO"
        if reply["code"] == 354:
            yield esmtp


def method_name(name: str) -> str:
    """The name of the test method for a case."""
    return "test_" + re.sub(r"\W", "_", name)
