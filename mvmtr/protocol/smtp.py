# -*- test-case-name: mvmtr.test.test_smtp -*-
"""
The conversation: commands in, replies out.

L{Receiver} is a C{twisted.mail.smtp.ESMTP} whose reader and verbs are all replaced; the
architecture page of the documentation says what is wrong with the stock ones. Each verb
is a method named as the verb.
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
from twisted.python.failure import Failure

from mvmtr.configuration import Configuration
from mvmtr.protocol import reply
from mvmtr.protocol.data import BareLineFeed, DataDecoder
from mvmtr.protocol.delivery import IncomingMessage, Refused
from mvmtr.protocol.flow import Flow
from mvmtr.protocol.journal import Journal
from mvmtr.protocol.lines import LineTooLong
from mvmtr.protocol.literal import localize
from mvmtr.protocol.parameters import MAIL, BadParameter, UnknownParameter, parse_parameters
from mvmtr.protocol.path import PATH_MAX, PathError, parse_path
from mvmtr.session import Connection, Defer, Discard, Reject, Session, Stage, Transaction, Verdict

_NO_NAME = re.compile(rb"[^\x21-\x7e]")


class Receiver(Flow):
    """
    One SMTP session.

    @param configure: gives the configuration for a connection.
    @param portal: gives the session its delivery.
    @param describe: tells who talks to whom over a transport, at once or later.
    @ivar quit: whether the client said QUIT.
    """

    session: Session

    def __init__(
        self,
        configure: Callable[[Connection], Configuration],
        portal: Portal,
        describe: Callable[[Any], Connection | Deferred[Connection]],
    ) -> None:
        super().__init__()
        self.portal = portal
        self.quit = False
        self._described_yet = False
        self._configure = configure
        self._describe = describe
        self._discard: Discard | None = None
        self._message_of: Callable[[], IncomingMessage] | None = None
        self._message: IncomingMessage | None = None
        self._decoder = DataDecoder()

    # The session

    def begin(self) -> None:
        """Log in, then ask the checks of the connect stage, then greet."""
        self.when(self._describe(self.transport), self._described)

    def _described(self, connection: Connection) -> None:
        self._configuration = self._configure(connection)
        self._settings = self._configuration.settings
        name = self._settings.usehostname or socket.gethostname().encode("ascii", "replace")
        self.host = _NO_NAME.sub(b"?", name)
        self.input.limit = self._settings.smtp_server_command_max
        self.session = Session(connection, self._settings)
        self._journal = Journal(self.session)
        self._described_yet = True
        mind = (self.session, self._configuration)
        self.when(self.portal.login(Anonymous(), mind, IMessageDelivery), self._logged_in)

    def _logged_in(self, avatar: Any) -> None:
        _interface, self.delivery, self._onLogout = avatar
        self._decide(Stage.CONNECT, b"", self._connected)

    def _connected(self, verdict: Verdict | None) -> None:
        if isinstance(verdict, (Reject, Defer)):
            self._refuse("connect", verdict)
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

    def patience(self) -> int:
        """The general timeout, unless there is a special one for the moment."""
        special = None
        if self._message is not None:
            special = self._settings.smtp_server_timeout_data
        elif self.session.helo is None and self.session.transaction is None:
            special = self._settings.smtp_server_timeout_helo
        return special or self._settings.smtp_server_timeout

    def timed_out(self) -> None:
        """As qmail-smtpd, with 451."""
        self._refuse("timeout", reply.TIMEOUT)

    def broken(self) -> None:
        """The reason is in the log."""
        self.write(reply.reply_of(reply.BROKEN))

    def stopped(self) -> None:
        """The server goes down."""
        self.write(reply.reply_of(reply.SHUTTING_DOWN))

    def ended(self) -> None:
        """Let go of what is held, and note what the session was."""
        if self._message is not None:
            self._message.connectionLost()
        if self._described_yet:
            self._journal.ended(self.quit)

    def step(self) -> bool:
        """One command, or one piece of a message."""
        if self._message is not None:
            return self._receive_text(self._message)
        try:
            line = self.input.line()
        except LineTooLong:
            self._refuse("line", reply.LINE_TOO_LONG)
            return True
        if line is None:
            return False
        self._command(line)
        return True

    def _command(self, line: bytes) -> None:
        if b"\r" in line or b"\0" in line:
            self._refuse("line", reply.BAD_BYTE, line)
            return
        verb, _blank, argument = line.partition(b" ")
        method = self.verbs.get(verb.upper(), Receiver.do_UNKNOWN)
        method(self, argument.lstrip(b" "))

    # The verbs

    def do_HELO(self, name: bytes) -> None:
        """RFC 5321, section 4.1.1.1."""
        self._greeted(name, False)

    def do_EHLO(self, name: bytes) -> None:
        """RFC 5321, section 4.1.1.1."""
        self._greeted(name, True)

    def _greeted(self, name: bytes, esmtp: bool) -> None:
        def decided(verdict: Verdict | None) -> None:
            if isinstance(verdict, (Reject, Defer)):
                self._refuse("helo", verdict, name)
                return
            if isinstance(verdict, Discard):
                self._discard = verdict
            self._reset()
            self.session.helo = name
            self.session.esmtp = esmtp
            self.write(reply.reply(250, [self.host, *(self._extensions() if esmtp else [])]))

        self._decide(Stage.HELO, name, decided)

    def _extensions(self) -> list[bytes]:
        return [
            b"PIPELINING",
            b"8BITMIME",
            b"SIZE %d" % self._settings.smtp_server_msgsize_max,
            b"ENHANCEDSTATUSCODES",
        ]

    def do_MAIL(self, argument: bytes) -> None:
        """RFC 5321, section 4.1.1.2. One that is refused as it stands has no effect."""
        parsed = self._parse("mail", argument, b"FROM:", MAIL)
        if parsed is None:
            return
        sender, parameters = parsed
        limit = self._settings.smtp_server_msgsize_max
        if limit and int(parameters.get(b"SIZE") or 0) > limit:
            self._refuse("mail", reply.TOO_LARGE.by("size"), sender)
            return
        self._reset()
        transaction = self.session.transaction = Transaction(sender, parameters)
        transaction.discard = self._discard

        def accepted(_sender: bytes) -> None:
            self.write(reply.reply_of(reply.MAIL_OK))

        def refused(verdict: Verdict) -> None:
            self._reset()
            self._refuse("mail", verdict, sender)

        helo = (self.session.helo, self.session.connection.remote_ip)
        self._ask(self.delivery.validateFrom, (helo, sender), accepted, refused)

    def do_RCPT(self, argument: bytes) -> None:
        """RFC 5321, section 4.1.1.3."""
        if self.session.transaction is None:
            self._refuse("rcpt", reply.MAIL_FIRST, argument)
            return
        parsed = self._parse("rcpt", argument, b"TO:", {})
        if parsed is None:
            return
        recipient, _parameters = parsed
        known = self.session.transaction
        taken = len(known.recipients) + len(known.discarded)
        if taken >= self._settings.smtp_server_recipients_max:
            self._refuse("rcpt", reply.TOO_MANY_RECIPIENTS.by("recipients"), recipient)
            return

        def accepted(message_of: Callable[[], IncomingMessage]) -> None:
            self._message_of = message_of
            self.write(reply.reply_of(reply.RCPT_OK))

        def refused(verdict: Verdict) -> None:
            self._refuse("rcpt", verdict, recipient)

        self._ask(self.delivery.validateTo, (recipient,), accepted, refused)

    def do_DATA(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.4."""
        message_of = self._message_of
        if self.session.transaction is None:
            self._refuse("data", reply.MAIL_FIRST)
            return
        if message_of is None:
            self._refuse("data", reply.RCPT_FIRST)
            return

        def decided(verdict: Verdict | None) -> None:
            if isinstance(verdict, (Reject, Defer)):
                self._reset()
                self._refuse("data", verdict)
                return
            transaction = self.session.transaction
            assert transaction is not None
            if isinstance(verdict, Discard):
                transaction.discard = verdict
            helo = (self.session.helo, self.session.connection.remote_ip)
            header = self.delivery.receivedHeader(
                helo, transaction.reverse_path, transaction.recipients
            )
            self._message = message_of()
            self._message.begin(header)
            self._decoder = DataDecoder()
            self.write(reply.reply(354, [b"go ahead"]))

        self._decide(Stage.DATA, b"", decided)

    def _receive_text(self, message: IncomingMessage) -> bool:
        """Take what is there of a message; at its end, hand it over."""
        if not self.input:
            return False
        try:
            message.write(self._decoder.feed(self.input.take()))
        except BareLineFeed:
            self._refuse("message", reply.BARE_LINE_FEED)
            self.close(linger=True)
            return False
        if not self._decoder.finished:
            return True
        self.input.feed(self._decoder.rest)
        message.hops = self._decoder.hops
        self._message = None
        self.when(message.eomReceived(), lambda verdict: self._handed_over(message, verdict))
        return True

    def _handed_over(self, message: IncomingMessage, verdict: Verdict) -> None:
        self._journal.message(verdict)
        message.connectionLost()
        self._reset()
        self._answer(verdict)

    def do_RSET(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.5."""
        self._reset()
        self.write(reply.reply_of(reply.RSET_OK))

    def do_VRFY(self, _argument: bytes) -> None:
        """RFC 5321, section 3.5.3: neither yes nor no."""
        self.write(reply.reply_of(reply.VRFY_OK))

    def do_HELP(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.8."""
        verbs = b" ".join(sorted(self.verbs))
        self.write(reply.reply(214, [b"2.0.0 mvmtr knows " + verbs]))

    def do_NOOP(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.9."""
        self.write(reply.reply_of(reply.NOOP_OK))

    def do_QUIT(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.10."""
        self.quit = True
        self.write(reply.reply(221, [b"2.0.0 " + self.host]))
        self.close()

    def do_UNKNOWN(self, argument: bytes) -> None:
        """A verb that is none."""
        self._refuse("command", reply.UNIMPLEMENTED)

    verbs: dict[bytes, Callable[[Any, bytes], None]] = {
        b"HELO": do_HELO,
        b"EHLO": do_EHLO,
        b"MAIL": do_MAIL,
        b"RCPT": do_RCPT,
        b"DATA": do_DATA,
        b"RSET": do_RSET,
        b"VRFY": do_VRFY,
        b"HELP": do_HELP,
        b"NOOP": do_NOOP,
        b"QUIT": do_QUIT,
    }

    # What the verbs share

    def _parse(
        self, command: str, argument: bytes, keyword: bytes, known: Any
    ) -> tuple[bytes, dict[bytes, bytes | None]] | None:
        """Path and parameters; where they are not well-formed, C{None} after a refusal."""
        try:
            address, words = parse_path(argument, keyword)
            name = self._settings.smtp_server_localip_host
            if name is None:
                name = self._settings.usehostname or None
            if name is not None:
                address = localize(address, name)
            if len(address) > PATH_MAX:
                raise PathError("too long")
            return address, parse_parameters(words, known)
        except (PathError, UnknownParameter) as error:
            verdict = reply.SYNTAX.because(str(error))
        except BadParameter as error:
            verdict = reply.BAD_PARAMETER.because(str(error))
        self._refuse(command, verdict, argument)
        return None

    def _decide(
        self, stage: Stage, argument: bytes, function: Callable[[Verdict | None], None]
    ) -> None:
        self.when(self._configuration.policy.decide(self.session, stage, argument), function)

    def _ask(
        self,
        method: Callable[..., Any],
        arguments: tuple[Any, ...],
        accepted: Callable[[Any], None],
        refused: Callable[[Verdict], None],
    ) -> None:
        """Call a method of the delivery, which raises L{Refused} where it says no."""
        try:
            answer = method(*arguments)
        except Refused as no:
            refused(no.verdict)
            return
        if isinstance(answer, Deferred):

            def failed(failure: Failure) -> Callable[[], None]:
                failure.trap(Refused)
                return lambda: refused(failure.value.verdict)

            answer = answer.addCallbacks(lambda value: lambda: accepted(value), failed)
            self.when(answer, lambda function: function())
        else:
            accepted(answer)

    def _refuse(self, command: str, verdict: Verdict, argument: bytes | None = None) -> None:
        self._journal.refused(command, argument, verdict)
        self._answer(verdict)

    def _answer(self, verdict: Verdict) -> None:
        """Tell a verdict; 421 ends the session (RFC 5321, section 3.8)."""
        self.write(reply.reply_of(verdict))
        if verdict.code == 421:
            self.close()

    def _reset(self) -> None:
        """There is no transaction."""
        self.session.transaction = None
        self._message_of = None
