# -*- test-case-name: mvmtr.test.test_tcpserver -*-
"""What tcpserver tells its children by their environment (tcp-environ.5)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from mvmtr.session import Connection

_OF_CLIENT = (b"PROTO", b"RELAYCLIENT")


def connection_from_environment(environment: Mapping[bytes, bytes]) -> Connection:
    """
    Who talks to whom, from C{TCP…} variables, or C{TCP6…} where C{PROTO} says so or the
    former are missing.
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
    )


def forget_client(environment: MutableMapping[bytes, bytes]) -> None:
    """
    Drop from the environment who the client is and that it may relay, when it is not the one
    that tcpserver saw. Programs that are run for it have these from its session.
    """
    for name in list(environment):
        if name.startswith((b"TCPREMOTE", b"TCPLOCAL", b"TCP6")) or name in _OF_CLIENT:
            del environment[name]
