"""What is done with the examples of the pages about MFL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assemble import Assembly, Sources
from mvmtr.hooks.startfile import StartFile
from mvmtr.mfl.errors import RunError
from mvmtr.mfl.host import Host, message_source
from mvmtr.mfl.runtime import Run
from mvmtr.session import Connection
from mvmtr.test.mfl.running import Limits, finished, program
from mvmtr.test.pages import Example
from mvmtr.test.stand_ins import MAIL, RCPT, Takes
from mvmtr.test.support import CLIENT, Talk

MESSAGE = "Subject: x\n\nhello\n"


def send(talk: Talk, message: str, lines: tuple[bytes, ...] = (MAIL, RCPT)) -> list[int]:
    """The reply codes to a message, sent as far as the server lets it come."""
    codes = talk.codes
    for line in (b"EHLO client.example", *lines, b"DATA"):
        if talk.closed:
            return codes
        codes += talk.send(line)
    if codes[-1] != 354:
        return codes
    return codes + talk.feed(message.replace("\n", "\r\n").encode() + b".\r\n")


def talk_of(path: Path, connection: Connection = CLIENT) -> tuple[Talk, Takes, StartFile]:
    """A session with a startup file, its queue, and the file as a check."""
    overrides = {"smtp_server_rcpt_domains": "mvmtr.example"}
    sources = Sources(None, queue="discard:", start_file=str(path), overrides=overrides)
    assembly = Assembly(sources, Clock())
    queue = Takes()
    assembly.configuration = replace(assembly.configuration, queue=queue)
    (check,) = (
        each for each in assembly.configuration.policy.checks if isinstance(each, StartFile)
    )
    return Talk(assembly, connection), queue, check


class MflExamples:
    """Methods for L{Examples<mvmtr.test.documentation.Examples>}."""

    test: SynchronousTestCase
    home: Path
    message = MESSAGE
    known: dict[tuple[Any, ...], Any]

    def is_message(self, example: Example) -> None:
        """The message that the examples after it are about."""
        self.message = example.text + "\n"

    def is_known(self, example: Example) -> None:
        """What look-ups find: the kind, what is looked up, C{=}, and what is found."""
        self.known = {}
        for line in example.text.splitlines():
            key, _equals, value = line.partition(" = ")
            kind, *rest = key.split()
            answer = value.encode()
            found = (answer,) if kind in ("a", "mx", "txt", "ptr") else answer
            self.known[(kind, *(word.encode() for word in rest))] = found

    def _run(self, text: str, function: str) -> Any:
        host = Host(
            remote_ip=b"203.0.113.7",
            remote_host=b"client.example",
            local_ip=b"198.51.100.1",
            local_host=b"mx.example",
            helo=b"client.example",
            sender=b"joe@client.example",
            recipients=[b"ann@example.org"],
            variables={b"TCPREMOTEIP": b"203.0.113.7"},
            controls={b"smtp_server_timeout": b"300"},
            found=dict(getattr(self, "known", {})),
            time=1e9,
            message=message_source(self.message.encode()),
        )
        the_program = program(text)
        run = Run(host, Limits(), the_program.globals())
        value = the_program.execute(function, run)
        return finished(value) if hasattr(value, "send") else value

    def is_true(self, example: Example) -> None:
        """Expressions, one to a line, each of which is true."""
        for line in example.text.splitlines():
            if line.strip():
                text = f"int example() {{ return !!({line}\n); }}"
                self.test.assertTrue(self._run(text, "example"), line)

    def is_body(self, example: Example) -> None:
        """Statements, after which the words are a true expression."""
        wanted = " ".join(example.words)
        text = f"int example() {{ {example.text}\n return !!({wanted}); }}"
        self.test.assertTrue(self._run(text, "example"), example.text)

    def is_with(self, example: Example) -> None:
        """A piece of a file, with which the words are a true expression."""
        wanted = " ".join(example.words)
        text = f"{example.text}\nint example() {{ return !!({wanted}); }}"
        self.test.assertTrue(self._run(text, "example"), example.text)

    def is_fails(self, example: Example) -> None:
        """Expressions, one to a line, each of which is an error when it is run."""
        for line in example.text.splitlines():
            text = f"int example() {{ return !!({line}\n); }}"
            self.test.assertRaises(RunError, self._run, text, "example")

    # Real sessions

    def _talk(self, text: str) -> tuple[Talk, Takes, StartFile]:
        path = self.home / "mfl" / "mvmtr.mfl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
        return talk_of(path)

    def is_hooks(self, example: Example) -> None:
        """A startup file, and the reply codes to a message from MAIL on."""
        talk, _queue, _check = self._talk(example.text)
        wanted = [int(word) for word in example.words]
        self.test.assertEqual(send(talk, self.message)[-len(wanted) :], wanted, example.text)

    def is_sets(self, example: Example) -> None:
        """A startup file, and the value of the control that it sets."""
        name, *value = example.words
        _talk, _queue, check = self._talk(example.text)
        found = check.values[name]
        if isinstance(found, tuple):
            found = b" ".join(found)
        shown = found.decode() if isinstance(found, bytes) else str(found)
        self.test.assertEqual(shown, " ".join(value))

    def is_sieve(self, example: Example) -> None:
        """Sieve or a startup file, and what becomes of the message."""
        what, *more = example.words
        talk, queue, _check = self._talk(example.text)
        code = send(talk, self.message)[-1]

        recipients = [to for to, _text in queue.messages]
        text = b"".join(text for _to, text in queue.messages).decode()
        value = " ".join(more)
        if what in _HUNDREDS:
            self.test.assertEqual((code // 100, recipients), (_HUNDREDS[what], []), example.text)
            return
        self.test.assertEqual((code, len(recipients)), (250, 1), example.text)
        if what == "kept":
            self.test.assertEqual((recipients, text), ([(b"r@mvmtr.example",)], self.message))
        elif what == "redirected":
            self.test.assertEqual(recipients, [(b"r@mvmtr.example", value.encode())])
        elif what == "instead":
            self.test.assertEqual(recipients, [(value.encode(),)])
        elif what == "has":
            self.test.assertIn(value, text.partition("\n\n")[0].splitlines())
        else:
            self.test.assertEqual(what, "lacks")
            self.test.assertNotIn(value, text.partition("\n\n")[0].splitlines())


_HUNDREDS = {"refused": 5, "deferred": 4, "discarded": 2}
