# -*- test-case-name: mvmtr.test.test_adopted -*-
"""Listening on a socket that another process has opened and listens on as well."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.posixbase import PosixReactorBase

ACCEPTS = 4
"""
Connections that a process takes in one turn. With more, it has many and others are idle; with
fewer, it has more turns. This was the best when measured.
"""


class _Modest:
    """
    A port that leaves something to other processes: connections, where Twisted would take more
    from turn to turn, and the socket, which is not shut down.
    """

    _shouldShutdown = False

    @property
    def numberAccepts(self) -> int:
        """How many connections are taken in one turn."""
        return ACCEPTS

    @numberAccepts.setter
    def numberAccepts(self, _number: int) -> None:
        pass


class _TcpPort(_Modest, tcp.Port):
    """A TCP port."""


class _UnixPort(_Modest, unix.Port):
    """A port in the file system."""

    def _logConnectionLostMsg(self) -> None:
        """There is no name to tell."""


class Adopting:
    """
    A reactor that has the next port already, whatever endpoint asks it to open one.

    @param reactor: does all else.
    @param descriptor: the socket of the port. It is closed here; the port has another one.
    """

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self._descriptor = descriptor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """See L{IReactorTCP<twisted.internet.interfaces.IReactorTCP>}."""
        return self.adopt(factory, backlog)

    def listenUNIX(
        self,
        address: str,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> Any:
        """See L{IReactorUNIX<twisted.internet.interfaces.IReactorUNIX>}."""
        return self.adopt(factory, backlog)

    listenSSL = PosixReactorBase.listenSSL

    def adopt(self, factory: Any, backlog: int) -> Any:
        """The port; for endpoints that would open it themselves."""
        with socket.socket(fileno=self._descriptor) as opened:
            os.set_inheritable(opened.fileno(), False)
            port: Any
            if opened.family == socket.AF_UNIX:
                port = _UnixPort._fromListeningDescriptor(self._reactor, opened.fileno(), factory)
                # Rights and end of its file are for the process that opened it.
                port._bindPath = "\0"
            else:
                port = _TcpPort._fromListeningDescriptor(
                    self._reactor, opened.fileno(), opened.family, factory
                )
            # It is set anew, for all processes.
            port.backlog = backlog
            port.startListening()
        return port
