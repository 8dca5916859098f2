# -*- test-case-name: mvmtr.test.test_tcprules,mvmtr.test.test_tcprules_connection -*-
"""
The rules of tcpserver's C{-x}: which clients may connect, and with which variables
(tcprules.1). What is read is the file that tcprules has compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from zope.interface import implementer

from mvmtr.compat.cdb import Cdb
from mvmtr.compat.tcpserver import connection_from_environment
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Reject, Session, Stage, Verdict


@dataclass(frozen=True)
class Rule:
    """
    What the rules say about a set of clients.

    @ivar key: the address that the rule is for, as it stands in the file; empty for the
        rule that holds where no other does.
    @ivar deny: whether these clients are turned away.
    @ivar variables: the environment variables that the rule sets.
    """

    key: bytes
    deny: bool
    variables: Mapping[bytes, bytes]


def keys_for(ip: bytes, host: bytes | None, info: bytes | None) -> Iterator[bytes]:
    """
    The keys that tcpserver looks up for a client until it finds one (tcprules.1,
    "Addresses"). Pure; nothing is folded, and tcpserver has its host names in lower case.

    @param ip: the address of the client: empty when there is none, and of an IPv4 client of
        an IPv6 port in its IPv4 form, for so do tcpservers that know IPv6.
    @param host: its name, C{None} when it is not known.
    @param info: the user that it names (TCPREMOTEINFO), C{None} when it is not known.
    """
    if info is not None:
        yield info + b"@" + ip
        if host is not None:
            yield info + b"@=" + host
    yield ip
    if host is not None:
        yield b"=" + host
    yield from _networks(ip)
    if host is not None:
        for start in range(len(host)):
            if host.startswith(b".", start):
                yield b"=" + host[start:]
        yield b"="
    yield b""


def _networks(ip: bytes) -> Iterator[bytes]:
    """Shorter and shorter prefixes that end in a dot, or in a colon as in ucspi-tcp-ipv6."""
    for end in range(len(ip), 0, -1):
        if ip[end - 1] in b".:":
            yield ip[:end]


def parse_rule(key: bytes, data: bytes) -> Rule:
    """
    A rule from its value in the file, read as tcpserver reads it. Pure.

    The records end in NUL, the last one too: C{D} denies, C{+NAME=value} sets a variable,
    and of two values for one name the later holds. Others mean nothing.
    """
    deny = False
    variables: dict[bytes, bytes] = {}
    for record in data.split(b"\0")[:-1]:
        if record.startswith(b"D"):
            deny = True
        elif record.startswith(b"+"):
            name, equals, value = record[1:].partition(b"=")
            if equals:
                variables[name] = value
    return Rule(key, deny, variables)


class TcpRules:
    """
    A file of compiled rules, open for as long as this object lives. tcprules never changes
    a file but puts a new one in its place; make a new object to see it.

    @ivar path: the file.
    @raise ControlError: when it can't be opened, or is damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._cdb = Cdb(path)
        # Damage shows when all of it is read, and now is the time to say so.
        for _rule in self.rules():
            pass

    def find(self, ip: bytes, host: bytes | None, info: bytes | None) -> Rule | None:
        """
        The rule for a client; C{None} when there is none, and then it may connect. For the
        arguments see L{keys_for}.

        @raise ControlError: when the file is damaged; tcpserver turns the client away then.
        """
        for key in keys_for(ip, host, info):
            data = self._cdb.get(key)
            if data is not None:
                return parse_rule(key, data)
        return None

    def rules(self) -> Iterator[Rule]:
        """
        All rules in the order of the file. Of those with the same key only the first is
        ever followed.

        @raise ControlError: when the file is damaged.
        """
        return (parse_rule(key, data) for key, data in self._cdb.items())

    def apply(self, rule: Rule, connection: Connection) -> Connection:
        """
        The connection as tcpserver would present it after this rule, with the variables of
        the rule over what was known before. One that the rule denies says so in C{denied}.
        """
        environment = {**connection.as_environment(), **rule.variables}
        denied = connection.denied
        if rule.deny:
            denied = f"{self.path}: rule {rule.key.decode('utf-8', 'backslashreplace')!r}"
        return replace(
            connection_from_environment(environment),
            forwarded_by=connection.forwarded_by,
            denied=denied,
        )


@implementer(ICheck)
class TcpRulesCheck:
    """
    Refuses sessions over a connection that was denied. tcpserver closes these without a
    word; mvmtr says why, and has a line for it in the log.
    """

    name = "tcprules"
    stages = frozenset({Stage.CONNECT})

    def check(self, session: Session, stage: Stage, argument: bytes) -> Verdict | None:
        """See L{ICheck}."""
        if not session.connection.denied:
            return None
        return Reject(
            554,
            "5.7.1 no SMTP service for you here (#5.7.1)",
            reason=session.connection.denied,
        )
