# -*- test-case-name: mvmtr.test.test_conversation -*-
"""
A session from its connection to its end: who talks, the greeting, lines, clocks, refusals.

What the lines mean is for L{Receiver<mvmtr.protocol.smtp.Receiver>} to say.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

from twisted.cred.credentials import Anonymous
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.mail.interfaces import IMessageDelivery

from mvmtr.configuration import Configuration
from mvmtr.protocol import reply
from mvmtr.protocol.delivery import IncomingMessage
from mvmtr.protocol.journal import Journal
from mvmtr.protocol.lines import LineTooLong
from mvmtr.protocol.load import Load
from mvmtr.protocol.peer import connection_over
from mvmtr.protocol.secured import Secured
from mvmtr.protocol.transfer import Transfer
from mvmtr.session import Connection, Defer, Discard, Reject, Session, Stage, Verdict

_NO_NAME = re.compile(rb"[^\x21-\x7e]")


class Conversation(Secured):
    """
    One SMTP session; a subclass says what happens in C{command} and C{forget_transaction}.

    @param configure: gives the configuration for a connection.
    @param portal: gives the session its delivery.
    @param describe: adds to a connection what the transport does not tell, at once or later.
    @param load: what all sessions use together.
    @ivar known: who talks to whom, when that is known otherwise than from the transport.
    @ivar quit: whether the client said QUIT.
    @ivar transfer: takes the input, when that is not commands.
    @ivar answering: gets the next line instead of a command, when one is expected.
    """

    session: Session
    configuration: Configuration

    def __init__(
        self,
        configure: Callable[[Connection], Configuration],
        portal: Portal,
        describe: Callable[[Connection], Connection | Deferred[Connection]],
        load: Load | None = None,
    ) -> None:
        super().__init__()
        self.portal = portal
        self.load = load or Load()
        self.known: Connection | None = None
        self.quit = False
        self.transfer: Transfer | None = None
        self.answering: Callable[[bytes], None] | None = None
        self._described_yet = False
        self._configure = configure
        self._describe = describe
        self._discard: Discard | None = None
        self._message_of: Callable[[], IncomingMessage] | None = None
        self._message: IncomingMessage | None = None
        self._commands = self._errors = self._transactions = 0

    # What a subclass provides

    def command(self, line: bytes) -> None:
        """A command line has come."""
        raise NotImplementedError

    def forget_transaction(self) -> None:
        """There is no transaction (RFC 5321, section 4.1.1.5)."""
        raise NotImplementedError

    # What commands use

    def decide(
        self, stage: Stage, argument: bytes, function: Callable[[Verdict | None], None]
    ) -> None:
        """Ask the policy, and go on with its verdict."""
        self.when(self.configuration.policy.decide(self.session, stage, argument), function)

    def refuse(self, command: str, verdict: Verdict, argument: bytes | None = None) -> None:
        """Tell a client no, and the log as well."""
        self._journal.refused(command, argument, verdict)
        self.answer(verdict)

    def answer(self, verdict: Verdict) -> None:
        """Tell a verdict; 421 ends the session (RFC 5321, section 3.8), and so do many errors."""
        self.write(reply.reply_of(verdict))
        if verdict.code == 421:
            self.close()
        elif verdict.code >= 400:
            self._errors += 1
            if self._errors >= self._settings.smtp_server_errors_max:
                self.refuse("command", reply.TOO_MANY_ERRORS)

    # The session

    def begin(self) -> None:
        """The connection is there."""
        self._deadline_of_session: float | None = None
        self.start_session(self.known or connection_over(self.transport))

    def start_session(self, connection: Connection) -> None:
        """Log in, then ask the checks of the connect stage, then greet."""
        self.when(self._describe(connection), self._described)

    def _described(self, connection: Connection) -> None:
        self.configuration = self._configure(connection)
        self._settings = self.configuration.settings
        name = self._settings.usehostname or socket.gethostname().encode("ascii", "replace")
        self.host = _NO_NAME.sub(b"?", name)
        self.input.limit = self._settings.smtp_server_command_max
        if self._deadline_of_session is None:
            self._deadline_of_session = self.seconds() + self._settings.smtp_server_session_timeout
        self.session = Session(connection, self._settings)
        self.session.encryption = self.encryption
        self._journal = Journal(self.session)
        self._described_yet = True
        self.log_in(Anonymous(), lambda: self.decide(Stage.CONNECT, b"", self._connected))

    def log_in(self, credentials: Any, then: Callable[[], None]) -> None:
        """Take on an avatar."""

        def logged_in(avatar: Any) -> None:
            _interface, self.delivery, self._onLogout = avatar
            then()

        mind = (self.session, self.configuration)
        self.when(self.portal.login(credentials, mind, IMessageDelivery), logged_in)

    def _connected(self, verdict: Verdict | None) -> None:
        if isinstance(verdict, (Reject, Defer)):
            self.refuse("connect", verdict)
            self.close()
            return
        self._discard = verdict if isinstance(verdict, Discard) else None
        self.write(reply.reply(220, self._greeting()))

    def _greeting(self) -> list[bytes]:
        """First and last line are mvmtr's own (compatibility document, smtpgreeting)."""
        text = self._settings.smtp_server_greeting
        if not text:
            return [self.host + b" ESMTP mvmtr"]
        return [self.host + b" ESMTP mvmtr", *text, self.host + b" ESMTP"]

    def patience(self) -> float:
        """The general timeout, unless there is a special one for the moment."""
        special = None
        if self.transfer is not None:
            special = self._settings.smtp_server_timeout_data
        elif self.session.helo is None and self.session.transaction is None:
            special = self._settings.smtp_server_timeout_helo
        return min(special or self._settings.smtp_server_timeout, self._time_left())

    def _time_left(self) -> float:
        """Seconds that the session as a whole still has."""
        assert self._deadline_of_session is not None
        return max(0.0, self._deadline_of_session - self.seconds())

    def timed_out(self) -> None:
        """As qmail-smtpd, with 451; or the session as a whole has lasted too long."""
        if self._described_yet and not self._time_left():
            self.refuse("timeout", reply.SESSION_TOO_LONG)
        else:
            self.refuse("timeout", reply.TIMEOUT)

    def secured(self) -> None:
        """All that was said before the handshake is void (RFC 3207, section 4.2)."""
        if self._described_yet:
            self.forget_transaction()
            self.session.forget()
            self.session.encryption = self.encryption
            self.log_in(Anonymous(), lambda: None)

    def spoke_in_clear(self) -> None:
        """None of it is run."""
        self.refuse("starttls", reply.NOT_A_HANDSHAKE)
        self.close()

    def broken(self) -> None:
        """The reason is in the log."""
        self.write(reply.reply_of(reply.BROKEN))

    def stopped(self) -> None:
        """The server goes down."""
        self.write(reply.reply_of(reply.SHUTTING_DOWN))

    def ended(self) -> None:
        """Note what the session was, and let go of what is held."""
        if self._described_yet:
            self._journal.ended(self.quit)
            self.forget_transaction()

    def step(self) -> bool:
        """One command, or one piece of a message."""
        if self.transfer is not None:
            return self.transfer.step()
        try:
            line = self.input.line()
        except LineTooLong:
            self.answering = None
            self.refuse("line", reply.LINE_TOO_LONG)
            return True
        if line is None:
            return False
        if self.answering is not None:
            answer, self.answering = self.answering, None
            answer(line)
        else:
            self.command(line)
        return True
