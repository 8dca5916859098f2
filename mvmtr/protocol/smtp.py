# -*- test-case-name: mvmtr.test.test_smtp -*-
"""
The conversation: commands in, replies out.

L{Receiver} is a C{twisted.mail.smtp.ESMTP} whose reader and verbs are all replaced; the
architecture page of the documentation says what is wrong with the stock ones. Each verb
is a method named as the verb; those of L{extensions<mvmtr.protocol.extensions>} are in
modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.python.failure import Failure

from mvmtr.policy import is_deferred
from mvmtr.protocol import extensions, reply
from mvmtr.protocol.conversation import Conversation
from mvmtr.protocol.delivery import IncomingMessage, Refused
from mvmtr.protocol.literal import localize
from mvmtr.protocol.parameters import BadParameter, UnknownParameter, parse_parameters
from mvmtr.protocol.path import PATH_MAX, PathError, parse_path
from mvmtr.protocol.transfer import DataTransfer
from mvmtr.session import Defer, Discard, Reject, Stage, Transaction, Verdict

RECIPIENT_SIZE = 200
"""Bytes of memory for a recipient, besides its address and parameters."""

EXTENSIONS = extensions.found()
_OBJECTING = extensions.having(EXTENSIONS, "objection")
_OBJECTING_TO_RECIPIENTS = extensions.having(EXTENSIONS, "recipient_objection")
_ALWAYS = frozenset(EXTENSIONS).difference(
    extensions.having(EXTENSIONS, "offered"), extensions.having(EXTENSIONS, "line")
)
"""Those whose line of EHLO is always the same."""
_WITH_PAYLOAD = tuple(verb for one in EXTENSIONS for verb in one.payload)


class Receiver(Conversation):
    """
    One SMTP session, and what each command does in it.

    @ivar verb: the verb at hand, in capitals.
    @ivar unfinished: a message of which more is to come, while the input is commands again.
    """

    verb = b""
    unfinished: Any = None

    def command(self, line: bytes) -> None:
        """Find the verb."""
        self._commands += 1
        most = self._settings.smtp_server_commands_max
        if self._commands > most:
            self.refuse("command", reply.TOO_MANY_COMMANDS.because(f"the limit is {most}"))
            return
        verb, _blank, argument = line.partition(b" ")
        self.verb = verb.upper()
        if b"\r" in line or b"\0" in line:
            # A password is in no log, however badly it is sent.
            is_safe = self.verb in self.verbs and self.verb != b"AUTH"
            shown = line if is_safe else None
            self.refuse("line", reply.BAD_BYTE, shown)
            self.unreadable(line)
            return
        method = self.verbs.get(self.verb)
        if method is None:
            self.do_UNKNOWN(argument)
            self.unreadable(line)
        else:
            method(self, argument.lstrip(b" "))

    def unreadable(self, line: bytes) -> None:
        """Behind some verbs comes what must never be read as commands."""
        if self.session.esmtp and line.upper().startswith(_WITH_PAYLOAD):
            self.close(linger=True)

    # The verbs

    def do_HELO(self, name: bytes) -> None:
        """RFC 5321, section 4.1.1.1."""
        self._greeted(name, False)

    def do_EHLO(self, name: bytes) -> None:
        """RFC 5321, section 4.1.1.1."""
        self._greeted(name, True)

    def _greeted(self, name: bytes, esmtp: bool) -> None:
        def greet() -> None:
            lines = [self.host]
            if esmtp:
                for one in EXTENSIONS:
                    if one in _ALWAYS:
                        lines.append(one.keyword)
                    elif one.offered(self):
                        lines.append(one.line(self))
            self.write(reply.reply(250, lines))

        self.meet(name, esmtp, greet)

    def meet(self, name: bytes, esmtp: bool, greet: Callable[[], None]) -> None:
        """
        Take the name that a client has for itself, unless a check is against it.

        @param greet: called when it was taken.
        """

        def decided(verdict: Verdict | None) -> None:
            if isinstance(verdict, (Reject, Defer)):
                self.refuse("helo", verdict, name)
                return
            if isinstance(verdict, Discard):
                self._discard = verdict
            self.forget_transaction()
            self.session.helo = name
            self.session.esmtp = esmtp
            greet()

        self.decide(Stage.HELO, name, decided)

    def do_MAIL(self, argument: bytes) -> None:
        """RFC 5321, section 4.1.1.2. One that is refused as it stands has no effect."""
        most = self._settings.smtp_server_messages_max
        if self._transactions >= most:
            verdict = reply.TOO_MANY_MESSAGES.because(f"the limit is {most}")
            self.refuse("mail", verdict, argument)
            return
        parsed = self._parse("mail", argument, b"FROM:")
        if parsed is None:
            return
        sender, parameters = parsed
        transaction = Transaction(sender, parameters)
        objection = self._objection(Stage.MAIL, transaction)
        if objection is not None:
            self.refuse("mail", objection, sender)
            return
        self.forget_transaction()
        self._transactions += 1
        self.session.transaction = transaction
        transaction.discard = self._discard

        def accepted(_sender: bytes) -> None:
            self.write(reply.reply_of(reply.MAIL_OK))

        def refused(verdict: Verdict) -> None:
            self.forget_transaction()
            self.refuse("mail", verdict, sender)

        helo = (self.session.helo, self.session.connection.remote_ip)
        self._ask(self.delivery.validateFrom, (helo, sender), accepted, refused)

    def do_RCPT(self, argument: bytes) -> None:
        """RFC 5321, section 4.1.1.3."""
        if self.session.transaction is None:
            self.refuse("rcpt", reply.MAIL_FIRST, argument)
            return
        if self.unfinished is not None:
            self.refuse("rcpt", reply.MESSAGE_BEGUN, argument)
            return
        parsed = self._parse("rcpt", argument, b"TO:")
        if parsed is None:
            return
        recipient, parameters = parsed
        known = self.session.transaction
        taken = len(known.recipients) + len(known.discarded)
        most = self._settings.smtp_server_recipients_max
        if taken >= most:
            verdict = reply.TOO_MANY_RECIPIENTS.by("recipients").because(f"the limit is {most}")
            self.refuse("rcpt", verdict, recipient)
            return
        objection = self._objection_to_recipient(known, recipient, parameters)
        if objection is not None:
            self.refuse("rcpt", objection, recipient)
            return

        def accepted(message_of: Callable[[], IncomingMessage]) -> None:
            self._message_of = message_of
            self.envelope_size += len(argument) + RECIPIENT_SIZE
            self.write(reply.reply_of(reply.RCPT_OK))

        def refused(verdict: Verdict) -> None:
            self.refuse("rcpt", verdict, recipient)

        self._ask(self.delivery.validateTo, (recipient, parameters), accepted, refused)

    def do_DATA(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.4."""

        def opened(message: IncomingMessage) -> None:
            self.transfer = DataTransfer(self, message)
            self.write(reply.reply(354, [b"go ahead"]))

        self.open_message(opened, lambda verdict: self.refuse("data", verdict))

    def open_message(
        self,
        opened: Callable[[IncomingMessage], None],
        refused: Callable[[Verdict], None],
    ) -> None:
        """
        Ask whether the text of a message may come now.

        @param opened: called with the message that it is for.
        @param refused: called when it may not come.
        """
        objection = self._objection_to_text()
        if objection is not None:
            refused(objection)
            return
        transaction = self.session.transaction
        assert transaction is not None

        def decided(verdict: Verdict | None) -> None:
            if isinstance(verdict, (Reject, Defer)):
                self.forget_transaction()
                refused(verdict)
                return
            if isinstance(verdict, Discard):
                transaction.discard = verdict
            helo = (self.session.helo, self.session.connection.remote_ip)
            header = self.delivery.receivedHeader(
                helo, transaction.reverse_path, transaction.recipients
            )
            assert self._message_of is not None
            self._message = self._message_of()
            self._message.begin(header, self.load)
            opened(self._message)

        self.decide(Stage.DATA, b"", decided)

    def hand_over(self) -> None:
        """The text of the message is whole: let it be taken, and tell what came of it."""
        message = self._message
        assert message is not None
        self.when(message.eomReceived(), self.end_message)

    def end_message(self, verdict: Verdict) -> None:
        """Tell what came of a message. Its transaction is over."""
        self._journal.message(verdict)
        self.forget_transaction()
        self.answer(verdict)

    def do_RSET(self, _argument: bytes) -> None:
        """RFC 5321, section 4.1.1.5."""
        self.forget_transaction()
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
        self.refuse("command", reply.UNIMPLEMENTED)

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
        **{verb: method for one in EXTENSIONS for verb, method in one.commands.items()},
    }

    # What the verbs share

    def _parse(
        self, command: str, argument: bytes, keyword: bytes
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
            known = extensions.known_parameters(self, EXTENSIONS, command) if words else {}
            return address, parse_parameters(words, known)
        except (PathError, UnknownParameter) as error:
            verdict = reply.SYNTAX.because(str(error))
        except BadParameter as error:
            verdict = reply.BAD_PARAMETER.because(str(error))
        self.refuse(command, verdict, argument)
        return None

    def _objection(self, stage: Stage, transaction: Transaction) -> Verdict | None:
        for extension in _OBJECTING:
            verdict = extension.objection(self, stage, transaction)
            if verdict is not None:
                return verdict
        return None

    def _objection_to_text(self) -> Verdict | None:
        transaction = self.session.transaction
        if transaction is None:
            return reply.MAIL_FIRST
        if self._message_of is None:
            return reply.RCPT_FIRST
        if self.unfinished is not None:
            return reply.MESSAGE_BEGUN
        return self._objection(Stage.DATA, transaction)

    def _objection_to_recipient(
        self,
        transaction: Transaction,
        recipient: bytes,
        parameters: Mapping[bytes, bytes | None],
    ) -> Verdict | None:
        for extension in _OBJECTING_TO_RECIPIENTS:
            verdict = extension.recipient_objection(self, transaction, recipient, parameters)
            if verdict is not None:
                return verdict
        return None

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
        if is_deferred(answer):

            def failed(failure: Failure) -> Callable[[], None]:
                failure.trap(Refused)
                return lambda: refused(failure.value.verdict)

            answer = answer.addCallbacks(lambda value: lambda: accepted(value), failed)
            self.when(answer, lambda function: function())
        else:
            accepted(answer)

    def forget_transaction(self) -> None:
        """There is no transaction (RFC 5321, section 4.1.1.5)."""
        if self.session.transaction is None:
            return
        if self._message is not None:
            self._message.connectionLost()
            self._message = None
        self.session.transaction = None
        self._message_of = None
        self.envelope_size = 0
        self.unfinished = None
