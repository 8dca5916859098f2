"""The program C{mvmtr}: C{twistd mvmtr} in the foreground."""

from __future__ import annotations

import sys


def main() -> None:
    """Run C{twistd} with the arguments of this program."""
    from twisted.scripts.twistd import run

    sys.argv[:1] = ["twistd", "--nodaemon", "--pidfile=", "mvmtr"]
    run()


if __name__ == "__main__":
    main()
