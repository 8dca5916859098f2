"""The servers that are compared, and how each of them is started."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import postfix
from servers import CORES, ROOT, free_port, python_program, running, with_path
from shapes import Shape

CONTROLS = {
    "me": "mx.example\n",
    "rcpthosts": "example.com\nexample.net\n.example.org\n",
    "badmailfrom": "spammer@bad.example\n@worse.example\nbulk@worst.example\n",
}

# Both read message and envelope to their ends and keep nothing.
_PROGRAM_C = """
#include <unistd.h>
int main(void) {
    static char room[65536];
    for (int fd = 0; fd < 2; fd++)
        while (read(fd, room, sizeof room) > 0)
            ;
    return 0;
}
"""
_PROGRAM_SH = "#!/bin/sh\nexec cat - /dev/fd/3 3<&1 > /dev/null\n"


class Peer:
    """
    A server.

    @ivar name: for the tables.
    @ivar many: whether it has several processes, so that one core would not do.
    """

    name = ""
    many = False

    def found(self) -> bool:
        """Whether it can be run here."""
        return True

    def takes(self, shape: Shape) -> bool:
        """Whether it can be measured in this shape."""
        return True

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """Fill its folder; the command line that starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Of its process."""
        return dict(os.environ)

    @contextlib.contextmanager
    def serve(self, shape: Shape) -> Iterator[tuple[int, int]]:
        """
        Run it in a temporary folder.

        @return: process and port.
        """
        alone = not (self.many or shape.spread)
        with tempfile.TemporaryDirectory(prefix="mvmtr-bench-") as temporary:
            where, port = Path(temporary), free_port()
            command = self.command(where, port, shape)
            cores = CORES[:1] if alone else CORES
            with running(command, port, where, self.environment(), cores) as process:
                yield process, port


class Mvmtr(Peer):
    """
    A real C{twistd mvmtr} that listens itself.

    @param checkout: the folder whose code is run.
    @param more: further options.
    """

    def __init__(
        self, name: str = "mvmtr", checkout: Path = ROOT, more: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.checkout = checkout
        self.more = list(more)
        self.many = any(option.startswith("--workers") for option in more)

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """See L{Peer.command}."""
        return [
            *self.twistd(home, shape),
            f"--listen=tcp:{port}:interface=127.0.0.1:backlog=1000",
            *self.more,
        ]

    def twistd(self, home: Path, shape: Shape) -> list[str]:
        """The command but for where it listens."""
        control = control_folder(home / "control")
        queue = {"program": f"qmail:{program()}", "maildir": f"maildir:{home}/Maildir"}
        if shape.tls:
            shutil.copy(certificate(), control / "servercert.pem")
        twistd = [python_program("twistd"), "--nodaemon", "--pidfile=", f"--logfile={home}/log"]
        own = [f"--control-dir={control}", f"--queue={queue.get(shape.queue, 'discard:')}"]
        return [*twistd, "mvmtr", *own]

    def environment(self) -> dict[str, str]:
        """See L{Peer.environment}."""
        return with_path(self.checkout)


class Stock(Peer):
    """A server of C{stock.py}, which keeps nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def found(self) -> bool:
        """See L{Peer.found}."""
        return importlib.util.find_spec(self.name) is not None

    def takes(self, shape: Shape) -> bool:
        """See L{Peer.takes}."""
        return shape.queue == "discard" or shape.base == self.name

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """See L{Peer.command}."""
        more = [str(certificate())] if shape.tls else []
        return [
            sys.executable,
            str(Path(__file__).parent / "stock.py"),
            self.name,
            str(port),
            *more,
        ]


class Postfix(Peer):
    """Postfix's smtpd, with the processes that it needs."""

    name = "postfix"
    many = True

    def found(self) -> bool:
        """See L{Peer.found}."""
        return postfix.usr() is not None and os.getuid() == 0

    def takes(self, shape: Shape) -> bool:
        """See L{Peer.takes}."""
        return shape.queue != "program"

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """See L{Peer.command}."""
        where = postfix.usr()
        assert where is not None
        tls = certificate() if shape.tls else None
        return postfix.prepare(home, where, port, shape.queue == "maildir", tls)

    def environment(self) -> dict[str, str]:
        """See L{Peer.environment}."""
        where = postfix.usr()
        assert where is not None
        return postfix.environment(where)


class SmtpSink(Postfix):
    """Postfix's test server, one process that looks at nothing and keeps nothing."""

    name = "smtp-sink"
    many = False

    def found(self) -> bool:
        """See L{Peer.found}."""
        return postfix.usr() is not None

    def takes(self, shape: Shape) -> bool:
        """See L{Peer.takes}."""
        return not shape.tls and shape.queue == "discard"

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """See L{Peer.command}."""
        where = postfix.usr()
        assert where is not None
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        return [str(where / "sbin/smtp-sink"), *user, f"127.0.0.1:{port}", "1000"]


class Tcpserver(Peer):
    """tcpserver, which starts a program for each connection."""

    many = True

    def found(self) -> bool:
        """See L{Peer.found}."""
        return shutil.which("tcpserver") is not None

    def tcpserver(self, port: int) -> list[str]:
        """Its part of the command line."""
        limits = ["-c", "1000", "-b", "1000"]
        return ["tcpserver", "-q", "-D", "-R", "-H", "-l", "0", *limits, "127.0.0.1", str(port)]


class QmailSmtpd(Tcpserver):
    """
    tcpserver and a qmail-smtpd, always with the do-nothing queue program.

    @param program: the qmail-smtpd.
    @param home: the folder that it was compiled for. C{control} in it must not be there, or
        be one that was made here; C{bin/qmail-queue} is replaced.
    """

    name = "qmail"

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._home = home

    def takes(self, shape: Shape) -> bool:
        """See L{Peer.takes}."""
        return not shape.tls

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """See L{Peer.command}."""
        control = self._home / "control"
        if control.exists():
            for file in control.iterdir():
                if file.is_dir() or file.read_text("latin-1") != CONTROLS.get(file.name):
                    raise SystemExit(f"{file}: not a file of ours; name a folder that is not used")
            shutil.rmtree(control)
        control_folder(control)
        queue = self._home / "bin" / "qmail-queue"
        queue.parent.mkdir(exist_ok=True)
        shutil.copy(program(), queue)
        return [*self.tcpserver(port), str(self._program)]


class HandOff(Tcpserver):
    """
    tcpserver and a launcher that hands each connection to a resident mvmtr.

    @param launcher: the program.
    """

    name = "handoff"

    def __init__(self, launcher: Path) -> None:
        self._launcher = launcher
        self._resident = Mvmtr()

    def command(self, home: Path, port: int, shape: Shape) -> list[str]:
        """See L{Peer.command}."""
        where = home / "mvmtr.sock"
        resident = [*self._resident.twistd(home, shape), f"--listen=handoff:{where}"]
        accepting = [*self.tcpserver(port), str(self._launcher), str(where)]
        script = home / "start"
        both = " ".join(resident), " ".join(accepting)
        wait = f"until [ -S {where} ]; do sleep 0.05; done"
        script.write_text(f"#!/bin/sh\n{both[0]} &\n{wait}\n{both[1]} &\nwait\n")
        script.chmod(0o755)
        return [str(script)]

    def environment(self) -> dict[str, str]:
        """See L{Peer.environment}."""
        return self._resident.environment()


def control_folder(where: Path) -> Path:
    """A new control folder as the examples have it: three files."""
    where.mkdir()
    for file, content in CONTROLS.items():
        (where / file).write_text(content)
    return where


_made: dict[str, Path] = {}
_room = tempfile.TemporaryDirectory(prefix="mvmtr-bench-files-")


def program() -> Path:
    """The do-nothing queue program: compiled where there is a compiler, else a shell script."""
    if "program" not in _made:
        path = Path(_room.name, "queue")
        compiler = shutil.which("cc")
        if compiler:
            source = path.with_suffix(".c")
            source.write_text(_PROGRAM_C)
            subprocess.run([compiler, "-O2", "-o", path, source], check=True)
        else:
            path.write_text(_PROGRAM_SH)
            path.chmod(0o755)
        Path(_room.name).chmod(0o755)
        _made["program"] = path
    return _made["program"]


def certificate() -> Path:
    """A certificate of 2048 bits RSA, and its key in the same file."""
    if "certificate" not in _made:
        path = Path(_room.name, "certificate.pem")
        openssl = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=mx.example"
        subprocess.run(
            [*openssl.split(), "-keyout", path, "-out", f"{path}.crt"],
            check=True,
            capture_output=True,
        )
        path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
        _made["certificate"] = path
    return _made["certificate"]
