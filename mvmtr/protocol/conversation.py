# -*- test-case-name: mvmtr.test.test_smtp,mvmtr.test.test_limits -*-
"""
A session from its connection to its end: who talks, the greeting, lines, clocks, refusals.

What the lines mean is for L{Receiver<mvmtr.protocol.smtp.Receiver>} to say.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.cred.credentials import Anonymous, IAnonymous
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.mail.interfaces import IMessageDelivery
from twisted.python.failure import Failure

from mvmtr.configuration import Configuration
from mvmtr.log import text_of
from mvmtr.policy import settled
from mvmtr.protocol import reply
from mvmtr.protocol.delivery import IncomingMessage
from mvmtr.protocol.journal import Journal, refuse_connection
from mvmtr.protocol.lines import LineTooLong
from mvmtr.protocol.load import Load, Memory
from mvmtr.protocol.peer import connection_over, ip_of
from mvmtr.protocol.secured import Secured
from mvmtr.protocol.transfer import Transfer
from mvmtr.protocol.unread import something_to_read
from mvmtr.session import (
    Connection,
    Defer,
    Discard,
    Reject,
    Session,
    Stage,
    Verdict,
    not_to_be_told,
)
from mvmtr.settings import Settings

HELD_ALWAYS = 4096
"""Bytes of an unfinished command that a client may send however short memory is."""

_ANYBODY = Anonymous()
_NO_NAME = re.compile(rb"[^\x21-\x7e]")
_IS_AUTH = re.compile(rb"AUTH ", re.IGNORECASE).match

ANSWER_MAX = 12288
"""Longest line of an AUTH exchange in bytes (RFC 4954, section 4)."""


class Conversation(Secured):
    """
    One SMTP session; a subclass says what happens in C{command} and C{forget_transaction}.

    @param configure: gives the configuration for a connection.
    @param portal: gives the session its delivery.
    @param describe: adds to a connection what the transport does not tell, at once or later.
    @param load: what all sessions use together.
    @ivar known: who talks to whom, when that is known otherwise than from the transport.
    @ivar vouched: whether the client is one that another client spoke for (XCLIENT).
    @ivar quit: whether the client said QUIT.
    @ivar transfer: takes the input, when that is not commands.
    @ivar answering: gets the next line instead of a command, when one is expected; C{None}
        when that was too long.
    @ivar auth_failures: how often AUTH has failed, whatever happened in between.
    @ivar envelope_size: bytes of memory that the transaction takes, without its text.
    """

    session: Session
    configuration: Configuration
    known: Connection | None = None
    vouched = False
    quit = False
    transfer: Transfer | None = None
    answering: Callable[[bytes | None], None] | None = None
    auth_failures = 0
    envelope_size = 0
    _described_yet = False
    _deadline_of_session: float | None = None
    _discard: Discard | None = None
    _message_of: Callable[[], IncomingMessage] | None = None
    _message: IncomingMessage | None = None
    _commands = _errors = _transactions = 0

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
        self._memory = Memory(self.load)
        self._configure = configure
        self._describe = describe

    # What a subclass provides

    def command(self, line: bytes) -> None:
        """A command line has come."""
        raise NotImplementedError

    def forget_transaction(self) -> None:
        """There is no transaction (RFC 5321, section 4.1.1.5)."""
        raise NotImplementedError

    def unreadable(self, line: bytes) -> None:
        """A command line was refused as it stands; this is how it began."""
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
            most = self._settings.smtp_server_errors_max
            if self._errors >= most:
                self.refuse("command", reply.TOO_MANY_ERRORS.because(f"the limit is {most}"))

    # The session

    def begin(self) -> None:
        """The connection is there."""
        self.start_session(self.known or connection_over(self.transport))

    def start_session(
        self,
        connection: Connection,
        prepare: Callable[[], None] | None = None,
        greet: Callable[[], None] | None = None,
    ) -> None:
        """
        Log in, then ask the checks of the connect stage, then greet. A session that there was
        before is over.

        @param prepare: called before the checks are asked.
        @param greet: called in the place of L{greet}.
        """
        if self._described_yet:
            self._session_over()
            self._described_yet = False

        def described(connection: Connection) -> None:
            self._described(connection)
            if prepare is not None:
                prepare()
            self.be_anonymous()
            self.decide(Stage.CONNECT, b"", decided)

        def decided(verdict: Verdict | None) -> None:
            if self._connected(verdict):
                (greet or self.greet)()

        self.when(self._describe(connection), described)

    def _described(self, connection: Connection) -> None:
        self.configuration = self._configure(connection)
        self.session = Session(connection, self.configuration.settings)
        name = self._settings.usehostname or socket.gethostname().encode("ascii", "replace")
        self.host = _NO_NAME.sub(b"?", name)
        self.input.limit = self._longest_line()
        if self._deadline_of_session is None:
            self._deadline_of_session = self.seconds() + self._settings.smtp_server_session_timeout
        self.session.encrypted(self.encryption)
        self.session.has_spoken = self._has_spoken
        self._journal = Journal(self.session, self.configuration.followers)
        self._described_yet = True

    @property
    def _settings(self) -> Settings:
        """Those of the session, which checks may change."""
        return self.session.settings

    def _has_spoken(self) -> bool | None:
        """Who speaks through another client can't be heard."""
        if self.vouched:
            return None
        return True if self.input else something_to_read(self.transport)

    def _longest_line(self) -> int:
        """That of commands, or of AUTH where that is possible."""
        longest = self._settings.smtp_server_command_max
        if len(self.portal.listCredentialsInterfaces()) > 1:
            longest = max(longest, ANSWER_MAX)
        return longest

    def be_anonymous(self) -> None:
        """
        Log in as somebody who has not said who it is. That waits for nothing, and is C{login} of
        the portal without the work for what does.
        """
        avatar = settled(self.portal.checkers[IAnonymous].requestAvatarId(_ANYBODY))
        mind = (self.session, self.configuration)
        self.take_on(self.portal.realm.requestAvatar(avatar, mind, IMessageDelivery))

    def try_to_log_in(
        self,
        credentials: Any,
        then: Callable[[Any], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """
        Ask for an avatar, but do not take it on yet.

        @param failed: called with the reason when there is none, or when that takes too long.
        """
        mind = (self.session, self.configuration)
        login: Deferred[Any] = self.portal.login(credentials, mind, IMessageDelivery)
        # All that a clock must have is callLater.
        login.addTimeout(self._settings.smtp_server_check_timeout, self)  # type: ignore[arg-type]
        login.addCallbacks(
            lambda avatar: lambda: then(avatar), lambda failure: lambda: failed(failure)
        )
        self.when(login, lambda function: function())

    def take_on(self, avatar: Any) -> None:
        """Let the session be that of an avatar, and of its user."""
        if self._onLogout is not None:
            self._onLogout()
        _interface, self.delivery, self._onLogout = avatar
        if self.delivery.user is not None:
            self.become(self.delivery.user)

    def become(self, user: bytes) -> None:
        """The client is that user, who may relay."""
        self.session.user = user
        if not self.session.relay:
            self.session.relay = f"authenticated as {text_of(user)}"

    def throw_away(self, verdict: Discard) -> None:
        """All messages of this session that begin from now on are for nobody."""
        self._discard = verdict

    def ask(self, challenge: bytes, answering: Callable[[bytes | None], None]) -> None:
        """Ask for a line that is no command (RFC 4954, section 4)."""
        self.answering = answering
        self.input.limit = ANSWER_MAX
        self.write(reply.reply(334, [challenge]))

    def _connected(self, verdict: Verdict | None) -> bool:
        self.session.has_spoken = not_to_be_told
        if isinstance(verdict, (Reject, Defer)):
            self.refuse("connect", verdict)
            # One that has spoken would not see why, were its words left unread.
            self.close(linger=True)
            return False
        if verdict is not self._discard:
            self._discard = verdict if isinstance(verdict, Discard) else None
        return True

    def greet(self) -> None:
        """Say who is here."""
        self.write(reply.reply(220, self._greeting()))

    def _greeting(self) -> list[bytes]:
        """First and last line are mvmtr's own (compatibility document, smtpgreeting)."""
        text = self._settings.smtp_server_greeting
        if not text:
            return [self.host + b" ESMTP mvmtr"]
        return [self.host + b" ESMTP mvmtr", *text, self.host + b" ESMTP"]

    def patience(self) -> float:
        """The general timeout, unless there is a special one for the moment."""
        session = self.session
        settings = session.settings
        special = None
        if self.transfer is not None:
            special = settings.smtp_server_timeout_data
        elif session.helo is None and session.transaction is None:
            special = settings.smtp_server_timeout_helo
        patience = special or settings.smtp_server_timeout
        left = self._time_left()
        return patience if patience < left else left

    def _time_left(self) -> float:
        """Seconds that the session as a whole still has."""
        assert self._deadline_of_session is not None
        left = self._deadline_of_session - self.seconds()
        # The clock of the timer is another one, and may be a little ahead.
        return left if left > 0.1 else 0.0

    def holds(self, unread: int) -> None:
        """Account for what is held; a client that takes too much of it must go."""
        if not self._described_yet:
            return
        if self.session.helo:
            unread += len(self.session.helo)
        held = unread + self.envelope_size
        if held != self._memory.held:
            self._memory.hold(held)
        if unread <= HELD_ALWAYS or self._closing or self._waiting or self._congested:
            return
        if self.load.memory > self._settings.smtp_server_memory_max:
            self.refuse("line", reply.NO_MEMORY.by("memory"))

    def timed_out(self) -> None:
        """As qmail-smtpd, with 451; or the session as a whole has lasted too long."""
        if self._described_yet and not self._time_left():
            most = self._settings.smtp_server_session_timeout
            reason = f"the limit is {most} seconds"
            self.refuse("timeout", reply.SESSION_TOO_LONG.because(reason))
        else:
            self.refuse("timeout", reply.TIMEOUT)

    def secured(self) -> None:
        """All that was said before the handshake is void (RFC 3207, section 4.2)."""
        if self._described_yet:
            self.forget_transaction()
            self.session.forget()
            self.answering = None
            if self.vouched and self.encryption is not None:
                # The certificate is that of who speaks for the client, not of the client.
                self.encryption = replace(self.encryption, client=None)
            self.session.encrypted(self.encryption)
            self.be_anonymous()

    def spoke_in_clear(self) -> None:
        """None of it is run."""
        self.refuse("starttls", reply.NOT_A_HANDSHAKE)
        self.close(linger=True)

    def handshake_failed(self, reason: str) -> None:
        """There is no session yet where TLS was to be there from the beginning."""
        verdict = reply.NO_HANDSHAKE.because(reason)
        if self._described_yet:
            self._journal.refused("starttls", None, verdict)
        else:
            # The other end is all that a transport knows when it is gone.
            peer = self.known.remote_ip if self.known else ip_of(self.transport.getPeer())
            refuse_connection(peer, verdict)

    def broken(self) -> None:
        """The reason is in the log."""
        self.write(reply.reply_of(reply.BROKEN))

    def may_stop(self) -> bool:
        """A transaction may be finished."""
        return not self._described_yet or self.session.transaction is None

    def stopped(self) -> None:
        """The server goes down."""
        self.write(reply.reply_of(reply.SHUTTING_DOWN))

    def ended(self) -> None:
        """Note what the session was, and let go of what is held."""
        if self._described_yet:
            self._session_over()
            self.forget_transaction()
        self._memory.hold(0)

    def _session_over(self) -> None:
        self.configuration.policy.decide(self.session, Stage.DISCONNECT)
        self._journal.ended(self.quit)

    def step(self) -> bool:
        """One command, or one piece of a message."""
        if self.transfer is not None:
            return self.transfer.step()
        try:
            line = self.input.line()
        except LineTooLong as error:
            if self.answering is not None:
                self._answered(None)
            else:
                self._line_too_long(error.start)
            return True
        if line is None:
            return False
        if self.answering is not None:
            self._answered(line)
        elif len(line) > self._settings.smtp_server_command_max and not _IS_AUTH(line):
            self._line_too_long(line)
        else:
            self.command(line)
        return True

    def _answered(self, line: bytes | None) -> None:
        assert self.answering is not None
        answering, self.answering = self.answering, None
        self.input.limit = self._longest_line()
        answering(line)

    def _line_too_long(self, start: bytes) -> None:
        reason = f"the limit is {self._settings.smtp_server_command_max} bytes"
        self.refuse("line", reply.LINE_TOO_LONG.because(reason))
        self.unreadable(start)
