"""A Postfix in a folder of its own, installed or only unpacked; its master must be run by root."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = {usr}/sbin
daemon_directory = {usr}/lib/postfix/sbin
shlib_directory = {usr}/lib/postfix
meta_directory = {home}/etc
# Accounts that every Debian has; there may be none of Postfix.
mail_owner = daemon
setgid_group = mail
default_privs = nobody
import_environment = MAIL_CONFIG LD_LIBRARY_PATH LANG=C
myhostname = mx.example
mydestination = example.com, example.net
relay_domains = example.org
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = discard
relay_transport = discard
local_transport = discard
maillog_file = {home}/log
maillog_file_prefixes = {home}
message_size_limit = 0
# qmgr does not see what is thrown away, and would never let the next one in without waiting.
in_flow_delay = 0
mailbox_size_limit = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_sender_restrictions =
    check_sender_access inline:{{spammer@bad.example=REJECT worse.example=REJECT}}
smtpd_recipient_restrictions = reject_unauth_destination
{more}
"""

# Throws a message away when it was read and written to a file.
_FORGET = "smtpd_end_of_data_restrictions = check_client_access static:DISCARD"

_TLS = """
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
smtpd_tls_session_cache_database =
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
"""

_QUEUES = """
active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace
"""


def usr() -> Path | None:
    """The folder that Postfix is in: installed, or unpacked beside the interpreter."""
    for folder in (Path("/usr"), Path(sys.executable).parent.parent / "postfix/usr"):
        if (folder / "lib/postfix/sbin/master").exists():
            return folder
    return None


def environment(where: Path) -> dict[str, str]:
    """What programs of it need to find their libraries."""
    if where == Path("/usr"):
        return dict(os.environ)
    libraries = sorted({str(path.parent) for path in where.rglob("*.so*")})
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def prepare(
    home: Path, where: Path, port: int, durable: bool, certificate: Path | None
) -> list[str]:
    """
    Write the folder.

    @param durable: whether messages are queued and synced, and thrown away by the transport;
        otherwise they are thrown away when they were read.
    @return: the command that starts it.
    """
    home.chmod(0o755)
    (home / "etc").mkdir()
    more = "" if durable else _FORGET
    if certificate is not None:
        more += _TLS.format(certificate=certificate)
    values = {"home": home, "usr": where, "port": port, "more": more}
    (home / "etc" / "main.cf").write_text(_MAIN.format(**values))
    (home / "etc" / "master.cf").write_text(_MASTER.format(**values))
    (home / "queue" / "pid").mkdir(parents=True)
    for folder in (home / "data", *(home / "queue" / name for name in _QUEUES.split())):
        folder.mkdir()
        shutil.chown(folder, "daemon")
    return [str(where / "lib/postfix/sbin/master"), "-d", "-c", str(home / "etc")]
