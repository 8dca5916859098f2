# -*- test-case-name: mvmtr.test.test_handoff,mvmtr.test.test_handoff_sessions -*-
"""
Connections that other programs have accepted and hand over, by a Unix socket.

For each of them C{mvmtr-handoff} sends its descriptor 0 (SCM_RIGHTS), and its environment as a
netstring of C{NAME=VALUE}, each with a NUL behind it. It hears C{+} when the session begins, and
C{0} or C{1} when it is over: whether the client said QUIT. Whoever hears something else, or
nothing, has its client still to itself. A session whose launcher goes away is stopped.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IListeningPort,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from mvmtr.protocol.descriptors import stream_family
from mvmtr.protocol.door import Door
from mvmtr.protocol.smtp import Receiver
from mvmtr.settings import Settings

log = Logger()

ENVIRONMENT_MAX = 131072
"""Bytes of an environment; the launchers know this number as well."""

HANDOFF_TIMEOUT = 10
"""Seconds that a launcher has for what it sends."""

BACKLOG = 1024
"""Launchers that the system lets wait, where it allows so many."""

_BEGUN = b"+"


class Refused(Exception):
    """A connection that is not taken over; the message says why."""


def parse_environment(data: bytes) -> dict[bytes, bytes] | None:
    """
    The variables that a launcher sends. Pure.

    @return: C{None} while there is more to come.
    @raise Refused: when this is not an environment.
    """
    digits, colon, rest = data.partition(b":")
    if len(digits) > 6 or (digits and not digits.isdigit()) or (colon and not digits):
        raise Refused("what the launcher sends is no netstring")
    if not colon:
        return None
    length = int(digits)
    if length > ENVIRONMENT_MAX:
        raise Refused(f"the environment is larger than {ENVIRONMENT_MAX} bytes")
    if len(rest) <= length:
        return None
    if rest[length:] != b"," or (length and rest[length - 1] != 0):
        raise Refused("what the launcher sends does not end where it should")
    pairs = [entry.partition(b"=") for entry in rest[:length].split(b"\0")[:-1]]
    return {name: value for name, equals, value in pairs if name and equals}


@implementer(IStreamServerEndpoint)
class HandoffEndpoint:
    """
    A Unix socket for launchers.

    @param description: C{PATH[:mode=OCTAL]}; without a mode only its owner can connect.
    @raise ValueError: when the description is something else.
    """

    def __init__(self, reactor: Any, description: str) -> None:
        self._reactor = reactor
        self._path, *arguments = description.split(":")
        if not self._path:
            raise ValueError("handoff: wants the path of a socket")
        mode = "600"
        for argument in arguments:
            name, _equals, mode = argument.partition("=")
            if name != "mode" or len(mode) not in (3, 4) or mode.strip("01234567"):
                raise ValueError(f"{argument!r} is not mode=OCTAL")
        self._mode = int(mode, 8)

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """See L{IStreamServerEndpoint}."""
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: Any) -> IListeningPort:
        adopt = getattr(self._reactor, "adopt", None)
        if adopt is not None:
            adopted: IListeningPort = adopt(factory, BACKLOG)
            return adopted
        _make_room(self._path)
        port = HandoffPort(os.fsencode(self._path), factory, BACKLOG, self._mode, self._reactor)
        former = os.umask(0o177)
        try:
            port.startListening()
        finally:
            os.umask(former)
        return port


class HandoffPort(unix.Port):
    """A port whose end is no error where its file can't be removed, or is gone."""

    def connectionLost(self, reason: Any) -> None:
        """Remove the file, if there still are the rights to do so."""
        with suppress(OSError):
            os.unlink(self._bindPath)
        tcp.Port.connectionLost(self, reason)


def _make_room(path: str) -> None:
    """
    Remove a socket that nobody listens on any more.

    @raise OSError: when there is something else, or somebody listens.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError("there is something that is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            probe.connect(path)
    except BlockingIOError:
        pass  # So many wait for who listens there that there is no room for one more.
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        os.unlink(path)
        return
    raise FileExistsError("another process listens there")


class HandoffFactory(ServerFactory):
    """
    Takes over the connections of launchers.

    @param door: gives what stands before the session, given the environment; may raise
        L{Refused}.
    @param settings: gives the settings of now.
    @ivar launchers: those that are connected.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        door: Callable[[Mapping[bytes, bytes]], Door],
        settings: Callable[[], Settings],
    ) -> None:
        self.launchers: set[Launcher] = set()
        self.reactor = reactor
        self.door = door
        self._settings = settings

    def buildProtocol(self, addr: Any) -> Protocol:
        """See L{IProtocolFactory<twisted.internet.interfaces.IProtocolFactory>}."""
        return Launcher(self)

    def admit(self, user: int) -> None:
        """
        Look at a launcher.

        @param user: its numeric id.
        @raise Refused: when it may not hand over, or too many others are about to.
        """
        settings = self._settings()
        allowed: Collection[int] = (0, os.geteuid(), *settings.smtp_server_handoff_users)
        if user not in allowed:
            raise Refused(f"the user {user} may not hand over connections")
        most = settings.smtp_server_connections_max
        if sum(not launcher.begun for launcher in self.launchers) >= most:
            raise Refused(f"{most} others are about to hand over a connection")

    def stopFactory(self) -> None:
        """Take over nothing more. What has begun is ended by who ends all sessions."""
        for launcher in list(self.launchers):
            launcher.stop()


@implementer(IFileDescriptorReceiver)
class Launcher(Protocol, TimeoutMixin):
    """
    One launcher, and the connection that it hands over.

    @ivar begun: whether the connection has been taken over.
    """

    transport: Any

    def __init__(self, factory: HandoffFactory) -> None:
        self.begun = False
        self._factory = factory
        self._data = b""
        self._descriptors: list[int] = []
        self._closing = False
        self._door: Door | None = None
        self._receiver: Receiver | None = None

    def connectionMade(self) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        peer = self.transport.getHandle().getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        _process, user, _group = struct.unpack("3i", peer)
        try:
            self._factory.admit(user & 0xFFFFFFFF)
        except Refused as error:
            self._refuse(error)
        else:
            self._factory.launchers.add(self)
            self.setTimeout(HANDOFF_TIMEOUT)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """See L{IFileDescriptorReceiver}."""
        # Programs that are started meanwhile must not have it.
        os.set_inheritable(descriptor, False)
        self._descriptors.append(descriptor)
        if self.begun or self._closing:
            self._forget_descriptors()

    def dataReceived(self, data: bytes) -> None:
        """See L{IProtocol<twisted.internet.interfaces.IProtocol>}."""
        if self.begun or self._closing:
            return
        self._data += data
        try:
            environment = parse_environment(self._data)
            if environment is not None:
                self._take_over(environment)
        except Refused as error:
            self._refuse(error)

    def _take_over(self, environment: Mapping[bytes, bytes]) -> None:
        if len(self._descriptors) != 1:
            raise Refused(f"{len(self._descriptors)} descriptors came, not 1")
        (descriptor,) = self._descriptors
        family = stream_family(descriptor)
        if family is None:
            raise Refused("descriptor 0 of the launcher is no stream socket")
        door = self._factory.door(environment)
        try:
            # At once: a launcher that has not waited may have told its client something.
            self.transport.getHandle().send(_BEGUN)
        except OSError:
            raise Refused("the launcher is gone") from None
        self.begun = True
        self._data = b""
        self.setTimeout(None)
        self._door = door
        door.passed = self._passed
        try:
            os.set_blocking(descriptor, False)
            self._factory.reactor.adoptStreamConnection(descriptor, family, door)
        except OSError as error:
            log.warn("the client is gone already: {error}", error=error)
            self._ended(quit=False)
        finally:
            self._forget_descriptors()

    def _passed(self, protocol: Protocol | None) -> None:
        if isinstance(protocol, Receiver):
            self._receiver = protocol
            protocol.finished.addCallback(lambda _none: self._ended(protocol.quit))
        else:
            self._ended(quit=False)

    def _ended(self, quit: bool) -> None:
        self._receiver = self._door = None
        self.transport.write(b"0" if quit else b"1")
        self.transport.loseConnection()

    def _refuse(self, why: object) -> None:
        log.warn("a connection is not taken over: {why}", why=why)
        self.stop()

    def timeoutConnection(self) -> None:
        """See L{TimeoutMixin}."""
        self._refuse(f"the launcher did not send it within {HANDOFF_TIMEOUT} seconds")

    def stop(self) -> None:
        """Take nothing over; a proxy that has not told its client goes."""
        if self._door is not None:
            self._door.stopFactory()
        if not self.begun:
            self._closing = True
            self.setTimeout(None)
            self._forget_descriptors()
            self.transport.abortConnection()

    def _forget_descriptors(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The launcher is gone, and with it who waits for the session."""
        self._factory.launchers.discard(self)
        if not (self.begun or self._closing):
            self._refuse("the launcher went away")
        elif self._door is not None:
            self._door.stopFactory()
        if self._receiver is not None:
            self._receiver.stop()
