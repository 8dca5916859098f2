"""A real Postfix in a folder of its own: it asks a policy server, and throws mail away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mvmtr.test.support import free_port, wait_for_port

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = {usr}/sbin
daemon_directory = {usr}/lib/postfix/sbin
shlib_directory = {usr}/lib/postfix
meta_directory = {home}/etc
# Accounts that every Debian has; the package may be unpacked only, with no account of its own.
mail_owner = daemon
setgid_group = mail
default_privs = nobody
import_environment = MAIL_CONFIG LD_LIBRARY_PATH LANG=C
myhostname = mx.example
mydestination = ours.example
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps = inline:{{{{r@ours.example=x}}}}
maillog_file = {home}/log
maillog_file_prefixes = {home}
smtpd_peername_lookup = no
smtpd_delay_reject = no
smtpd_error_sleep_time = 0
smtpd_relay_restrictions =
smtpd_client_restrictions = check_policy_service {policy}
smtpd_helo_restrictions = check_policy_service {policy}
smtpd_sender_restrictions = check_policy_service {policy}
smtpd_recipient_restrictions =
    check_policy_service {policy} reject_unauth_destination reject_unlisted_recipient
smtpd_data_restrictions = check_policy_service {policy}
smtpd_end_of_data_restrictions = check_policy_service {policy}
smtpd_policy_service_default_action = 451 4.3.5 nobody to ask
smtpd_policy_service_retry_delay = 1
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
local unix - - n - - discard
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
"""

QUEUES = """
active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace
"""


def usr():
    """Where Postfix is: installed, or unpacked beside the interpreter."""
    for folder in (Path("/usr"), Path(sys.executable).parent.parent / "postfix" / "usr"):
        if (folder / "lib/postfix/sbin/master").exists():
            return folder
    raise AssertionError("there is no Postfix; .ci/debian-packages fetches it")


def start(test, home, policy):
    """
    Start Postfix as a client of a policy server.

    @param home: an empty folder.
    @param policy: the server as Postfix writes it: C{inet:127.0.0.1:8891}.
    @return: the port that its smtpd listens on.
    """
    port = free_port()
    where = usr()
    home.chmod(0o755)
    (home / "etc").mkdir()
    values = {"home": home, "usr": where, "policy": policy, "port": port}
    (home / "etc" / "main.cf").write_text(MAIN.format(**values))
    (home / "etc" / "master.cf").write_text(MASTER.format(**values))
    (home / "queue" / "pid").mkdir(parents=True)
    for folder in (home / "data", *(home / "queue" / name for name in QUEUES.split())):
        folder.mkdir()
        shutil.chown(folder, "daemon")
    libraries = sorted({str(path.parent) for path in where.rglob("*.so*")})
    unpacked = {} if where == Path("/usr") else {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    process = subprocess.Popen(
        [where / "lib/postfix/sbin/master", "-d", "-c", home / "etc"],
        env={**os.environ, **unpacked},
        # It ends those that it has started by the number of their group.
        start_new_session=True,
    )
    test.addCleanup(process.wait)
    test.addCleanup(process.terminate)
    wait_for_port(port, process, 60)
    return port
