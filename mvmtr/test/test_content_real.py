"""Tests of BDAT, SMTPUTF8 and DSN with the real program, real sockets and a raw client."""

from __future__ import annotations

import json
import os
import random
import shutil
import smtplib
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import (
    ROOT,
    environment,
    folder,
    free_port,
    twistd,
    wait_for_port,
)

PATIENCE = 30
READY = (b"EHLO client.example", b"MAIL FROM:<s@client.example>%s", b"RCPT TO:<r@ours.example>")

EXAMPLE = ROOT / "examples" / "queues" / "folder_queue.py"


class RawClient:
    """Sends what it is told to, with no opinion of its own."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._replies = self._socket.makefile("rb")
        assert self.code() == 220

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def code(self) -> int:
        """The code of the next reply; 0 when the connection is closed."""
        while (line := self._replies.readline())[3:4] == b"-":
            pass
        return int(line[:3] or 0)

    def codes(self, count: int) -> list[int]:
        """The codes of some replies."""
        return [self.code() for _again in range(count)]

    def close(self) -> None:
        """Go away."""
        self._replies.close()
        self._socket.close()


def commands(parameters: bytes = b"") -> bytes:
    """EHLO, MAIL and RCPT in one piece."""
    return b"".join(line + b"\r\n" for line in READY).replace(b"%s", parameters)


def chunked(text: bytes, sizes: list[int]) -> bytes:
    """A text in chunks of some sizes, and the rest in the last one."""
    pieces = []
    for size in sizes:
        pieces.append(b"BDAT %d\r\n%s" % (len(text[:size]), text[:size]))
        text = text[size:]
    return b"".join(pieces) + b"BDAT %d LAST\r\n%s" % (len(text), text)


class ProgramTestCase(SynchronousTestCase):
    """C{twistd mvmtr} with a queue."""

    queue = "maildir:Maildir"
    variables: dict[str, str] = {}

    def setUp(self):
        self.home = folder(self)
        self.port = free_port()
        self.process = subprocess.Popen(
            [
                *twistd("-n", "--pidfile=", "mvmtr", "--no-qmail", f"--queue={self.queue}"),
                f"--listen=tcp:{self.port}:interface=127.0.0.1",
                *("--set", "smtp_server_rcpt_domains=ours.example"),
                *("--set", "smtp_server_msgsize_max=3000000"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.home,
            env=environment(**self.variables),
        )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        wait_for_port(self.port, self.process)

    def client(self):
        client = RawClient(self.port)
        self.addCleanup(client.close)
        return client

    def files(self, name="new"):
        place = self.home / "Maildir" / name
        return [path.read_bytes() for path in place.iterdir()] if place.is_dir() else []


class BdatTests(ProgramTestCase):
    """A raw BDAT client, and a Maildir."""

    def test_messages_in_chunks_of_all_sizes_arrive_whole(self):
        chance = random.Random(3030)
        lines = [
            bytes(chance.choices(b"abc. \xe9\r", k=chance.randrange(200))) for _ in range(9999)
        ]
        text = b"Subject: x\r\n\r\n" + b"".join(line.rstrip(b"\r") + b"\r\n" for line in lines)
        sizes = [0, 1, 2, 100_000, *(chance.randrange(5000) for _ in range(100)), 0, 300_000]
        client = self.client()
        client.send(commands() + chunked(text, sizes) + b"QUIT\r\n")
        self.assertEqual(client.codes(3 + len(sizes) + 2), [250] * (3 + len(sizes) + 1) + [221])
        (mail,) = self.files()
        head, _blank, stored = mail.partition(b"Subject: x\n\n")
        self.assertEqual(stored, text.replace(b"\r\n", b"\n").partition(b"\n\n")[2])
        self.assertIn(b" with ESMTP; ", head)

    def test_every_byte_of_a_binary_message_arrives(self):
        text = b"Subject: x\r\n\r\n" + random.Random(6).randbytes(2_000_000)
        client = self.client()
        client.send(commands(b" BODY=BINARYMIME") + chunked(text, [70_000, 1, 0, 900_000]))
        self.assertEqual(client.codes(8), [250] * 8)
        (mail,) = self.files()
        self.assertTrue(mail.endswith(text))

    def test_a_session_in_single_bytes_is_the_same(self):
        text = b"Subject: x\r\n\r\n.\r\nQUIT\r\n"
        client = self.client()
        sent = commands() + chunked(text, [3, 9, 0]) + b"NOOP\r\n"
        client._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(sent)):
            client.send(sent[place : place + 1])
        self.assertEqual(client.codes(8), [250] * 8)
        (mail,) = self.files()
        self.assertTrue(mail.endswith(b"Subject: x\n\n.\nQUIT\n"))

    def test_a_message_that_is_too_large_is_swallowed_and_the_session_goes_on(self):
        client = self.client()
        client.send(commands() + b"BDAT 9000000\r\n" + b"RSET\r\n" * 1_500_000)
        self.assertEqual(client.codes(4), [250, 250, 250, 552])
        client.send(b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
        self.assertEqual(client.codes(2), [503, 250])
        self.assertEqual(self.files(), [])

    def test_nothing_comes_of_a_message_without_its_last_byte(self):
        client = self.client()
        client.send(commands() + b"BDAT 5\r\nhelloBDAT 6 LAST\r\nworld")
        self.assertEqual(client.codes(4), [250] * 4)
        client.close()
        second = self.client()
        second.send(commands() + b"BDAT 3 LAST\r\nall")
        self.assertEqual(second.codes(4), [250] * 4)
        (mail,) = self.files()
        self.assertTrue(mail.endswith(b"\nall\n"))
        self.assertEqual(self.files("tmp"), [])

    def test_chunks_of_a_message_that_is_refused_are_no_commands(self):
        client = self.client()
        inside = commands() + b"DATA\r\nevil\r\n.\r\n"
        client.send(
            commands().replace(b"ours", b"elsewhere") + chunked(inside, [20, 30]) + b"NOOP\r\n"
        )
        self.assertEqual(client.codes(7), [250, 250, 553, 503, 503, 503, 250])
        self.assertEqual(self.files(), [])

    def test_where_the_length_is_not_known_the_connection_closes(self):
        client = self.client()
        client.send(commands() + b"BDAT 10x LAST\r\n" + commands() + b"DATA\r\nevil\r\n.\r\n")
        self.assertEqual(client.codes(5), [250, 250, 250, 501, 0])
        self.assertEqual(self.files(), [])


class OwnQueueTests(ProgramTestCase):
    """The queue that the documentation shows, which carries everything."""

    queue = "python:folder_queue.FolderQueue"

    skip = None if EXAMPLE.exists() else "there are no examples here"

    def setUp(self):
        modules = folder(self)
        shutil.copy(EXAMPLE, modules)
        path = [str(modules), environment()["PYTHONPATH"]]
        self.variables = {"PYTHONPATH": os.pathsep.join(path)}
        super().setUp()

    def kept(self, name):
        (path,) = Path(self.home, "incoming").glob(f"*.{name}")
        return path.read_bytes()

    def test_all_extensions_are_offered(self):
        with smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=PATIENCE) as client:
            client.ehlo()
            for word in ("dsn", "smtputf8", "binarymime", "chunking", "8bitmime"):
                self.assertTrue(client.has_extn(word), word)

    def test_what_the_sender_wants_to_know_reaches_the_queue(self):
        with smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=PATIENCE) as client:
            client.sendmail(
                "søren@client.example",
                ["björn@ours.example"],
                "Subject: smørrebrød\r\n\r\nhello\r\n".encode(),
                ["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"],
                ["NOTIFY=SUCCESS,FAILURE", "ORCPT=utf-8;björn@ours.example"],
            )
        envelope = json.loads(self.kept("envelope"))
        self.assertEqual(envelope["sender"][0], "søren@client.example")
        self.assertEqual(envelope["sender"][1]["RET"], "HDRS")
        self.assertEqual(envelope["sender"][1]["ENVID"], "a+2Bb")
        wanted = {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "utf-8;björn@ours.example"}
        self.assertEqual(envelope["recipients"], [["björn@ours.example", wanted]])
        message = self.kept("message")
        self.assertIn(b" with UTF8SMTP; ", message)
        self.assertTrue(message.endswith("Subject: smørrebrød\n\nhello\n".encode()))
