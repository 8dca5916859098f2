"""A real postgrey, as the server."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess

from mvmtr.test.support import free_port, wait_for_port


def program():
    """Where postgrey is."""
    found = shutil.which("postgrey", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    assert found is not None, "there is no postgrey; .ci/debian-packages installs it"
    return found


def start(test, home, *arguments, inet=True):
    """
    Start postgrey.

    @param home: a folder that others may enter.
    @param inet: whether it listens on TCP, or on a socket in the folder.
    @return: where it listens, as Twisted writes it.
    """
    root = os.getuid() == 0
    user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.getuid())
    database = home / "postgrey"
    database.mkdir()
    if root:
        os.chown(database, user.pw_uid, user.pw_gid)
    nothing = home / "nothing"
    nothing.touch()
    port = free_port()
    process = subprocess.Popen(
        [
            program(),
            f"--inet=127.0.0.1:{port}" if inet else f"--unix={database}/socket",
            f"--dbdir={database}",
            f"--user={user.pw_name}",
            f"--group={grp.getgrgid(user.pw_gid).gr_name}",
            f"--whitelist-clients={nothing}",
            f"--whitelist-recipients={nothing}",
            *arguments,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    test.addCleanup(process.wait)
    # It may sleep through a signal that it could handle.
    test.addCleanup(process.kill)
    if inet:
        wait_for_port(port, process, 60)
        return f"tcp:127.0.0.1:{port}"
    return f"unix:{database}/socket"
