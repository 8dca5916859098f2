# -*- test-case-name: mvmtr.test.test_password -*-
"""C{mvmtr password}: prints the line for a user in a file of C{--auth=scram:FILE}."""

from __future__ import annotations

import getpass
import os
import sys

from twisted.python import usage

from mvmtr.auth.sasl import ITERATIONS_OF_PASSWORDS
from mvmtr.auth.scram import ITERATIONS, ITERATIONS_MAX, line_for


class Options(usage.Options):
    """The options of C{mvmtr password}."""

    synopsis = "Usage: mvmtr password [--iterations=NUMBER] USER"

    optParameters = [
        ["iterations", None, ITERATIONS, "How much work it is to try one password.", int],
    ]

    def parseArgs(self, *arguments: str) -> None:
        """The user."""
        if len(arguments) != 1:
            raise usage.UsageError("one user is wanted")
        (self["user"],) = arguments

    def postOptions(self) -> None:
        """Look at the number."""
        if not ITERATIONS_OF_PASSWORDS <= self["iterations"] <= ITERATIONS_MAX:
            raise usage.UsageError(
                f"--iterations is a number from {ITERATIONS_OF_PASSWORDS} to {ITERATIONS_MAX}"
            )


def _asked() -> bytes:
    """A password from the terminal, twice; or else a line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise ValueError("these are two different passwords")
    return os.fsencode(password)


def main(arguments: list[str]) -> int:
    """
    Run C{mvmtr password}.

    @return: the exit status.
    """
    options = Options()
    try:
        options.parseOptions(arguments)
        line = line_for(os.fsencode(options["user"]), _asked(), options["iterations"])
    except (usage.UsageError, ValueError, KeyboardInterrupt, EOFError) as error:
        print(f"mvmtr: {error}", file=sys.stderr)
        return 1
    print(line.decode("utf-8"))
    return 0
