# -*- test-case-name: mvmtr.test.test_tcpserver -*-
"""What tcpserver tells its children by their environment (tcp-environ.5)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import replace

from mvmtr.session import Connection

_OF_CLIENT = (b"PROTO", b"RELAYCLIENT")


def connection_from_environment(
    environment: Mapping[bytes, bytes], complete: bool = False
) -> Connection:
    """
    Who talks to whom, from C{TCP…} variables, or C{TCP6…} where C{PROTO} says so or the
    former are missing.

    @param complete: whether these are all variables that programs are to have.
    """
    families = (b"TCP6", b"TCP") if environment.get(b"PROTO") == b"TCP6" else (b"TCP", b"TCP6")

    def value(name: bytes) -> bytes | None:
        found = (environment.get(family + name) for family in families)
        return next((value for value in found if value is not None), None)

    return Connection(
        remote_ip=value(b"REMOTEIP"),
        remote_host=value(b"REMOTEHOST"),
        remote_info=value(b"REMOTEINFO"),
        local_ip=value(b"LOCALIP"),
        local_host=value(b"LOCALHOST"),
        environment=environment,
        complete=complete,
    )


def described(told: Connection, raw: Connection) -> Connection:
    """
    A connection that a parent has accepted.

    @param told: what the parent tells of it.
    @param raw: what else is known: from the socket, or from a proxy or client that speaks for
        another client. What the parent says of the one does not hold for the other.
    """
    if raw.forwarded_by is not None:
        environment = dict(told.environment)
        forget_client(environment)
        return replace(
            raw, local_host=told.local_host, environment=environment, complete=told.complete
        )
    if told.remote_ip is None and told.local_ip is None:
        return replace(told, remote_ip=raw.remote_ip, local_ip=raw.local_ip)
    return told


def forget_client(environment: MutableMapping[bytes, bytes]) -> None:
    """
    Drop from the environment who the client is and that it may relay, when it is not the one
    that tcpserver saw. Programs that are run for it have these from its session.
    """
    for name in list(environment):
        if name.startswith((b"TCPREMOTE", b"TCPLOCAL", b"TCP6")) or name in _OF_CLIENT:
            del environment[name]
