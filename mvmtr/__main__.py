"""
The program C{mvmtr}.

C{mvmtr check} and C{mvmtr explain} look at a configuration, C{mvmtr mfl} tries a startup file,
C{mvmtr password} makes a line of a password file; anything else is C{twistd mvmtr} in the
foreground.
"""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "check":
        from mvmtr.check import main as check

        sys.exit(check(sys.argv[2:]))
    if command == "explain":
        from mvmtr.explain import main as explain

        explain(sys.argv[2:])
        return
    if command == "mfl":
        from mvmtr.hooks.command import main as mfl

        mfl(sys.argv[2:])
        return
    if command == "password":
        from mvmtr.auth.password import main as password

        sys.exit(password(sys.argv[2:]))
    # Most of what is loaded stays to the end; mvmtr.twistd turns this back.
    gc.disable()
    from mvmtr.twistd import run

    sys.argv[:1] = ["twistd", "--nodaemon", "--pidfile=", "mvmtr"]
    run()


if __name__ == "__main__":
    main()
