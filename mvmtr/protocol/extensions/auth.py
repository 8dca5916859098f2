# -*- test-case-name: mvmtr.test.test_auth -*-
"""RFC 4954: the client says who it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.cred.error import LoginFailed
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mvmtr.auth import sasl
from mvmtr.programs import environment_for
from mvmtr.protocol import reply, xtext
from mvmtr.protocol.conversation import ANSWER_MAX
from mvmtr.protocol.extensions import Extension
from mvmtr.protocol.load import network_of
from mvmtr.protocol.parameters import BadParameter
from mvmtr.session import Defer, Discard, Reject, Stage, Verdict

if TYPE_CHECKING:
    from mvmtr.protocol.smtp import Receiver

_MECHANISMS: dict[bytes, type[sasl.Mechanism]] = {
    one.name: one for one in (sasl.ScramSha256, sasl.CramMd5, sasl.Plain, sasl.Login)
}


def _possible(receiver: Receiver) -> list[bytes]:
    """The mechanisms that the password checks of this server can do."""
    known = receiver.portal.listCredentialsInterfaces()
    return [name for name, one in _MECHANISMS.items() if one.interface in known]


def _allowed(receiver: Receiver) -> list[bytes]:
    """Those of them that the setting has."""
    wanted = receiver.session.settings.smtp_server_auth_mechanisms
    possible = _possible(receiver)
    return [name for name in possible if not wanted or name.decode().lower() in wanted]


def _is_safe(receiver: Receiver) -> bool:
    """Whether nobody can listen, or it does not matter."""
    session = receiver.session
    return session.encryption is not None or session.settings.smtp_server_auth_insecure


def _who(address: bytes | None) -> bytes:
    """Whose failures are counted together: an address, or the network of one of IPv6."""
    if address is None or b":" not in address:
        return address or b"unknown"
    return network_of(address)


def _sender(value: bytes | None) -> None:
    """RFC 4954, section 5: an address as xtext, or C{<>}. It is taken, and not believed."""
    try:
        address = xtext.decode(value or b"")
    except ValueError:
        address = b""
    if not address or any(byte in address for byte in b"\0\r\n"):
        raise BadParameter("AUTH is an address as xtext, or <>")


def _do_auth(receiver: Receiver, argument: bytes) -> None:
    """RFC 4954, section 4."""
    name, _blank, initial = argument.rstrip(b" ").partition(b" ")
    name, initial = name.upper(), initial.lstrip(b" ")
    shown = name if name in _MECHANISMS else None
    objection = _objection(receiver, name, initial) if name else reply.AUTH_SYNTAX
    if not _possible(receiver):
        receiver.refuse("command", reply.UNIMPLEMENTED)
    elif objection is not None:
        receiver.refuse("auth", objection, shown)
    elif len(argument) > ANSWER_MAX:
        receiver.refuse("auth", reply.AUTH_LINE_TOO_LONG, shown)
    elif b" " in initial:
        receiver.refuse("auth", reply.AUTH_SYNTAX, shown)
    else:
        _Exchange(receiver, _made(receiver, name)).begin(initial)


def _objection(receiver: Receiver, name: bytes, initial: bytes) -> Verdict | None:
    """What is against an AUTH with that mechanism now."""
    session = receiver.session
    if not _is_safe(receiver):
        return reply.WANTS_ENCRYPTION
    if not session.esmtp:
        return reply.EHLO_FIRST
    if session.user is not None:
        return reply.AUTH_TWICE
    if session.transaction is not None:
        return reply.AUTH_TOO_LATE
    if name not in _possible(receiver):
        return reply.NO_MECHANISM
    if name not in _allowed(receiver):
        return reply.WEAK_MECHANISM
    if initial and not _MECHANISMS[name].client_first and name != sasl.Login.name:
        return reply.AUTH_SYNTAX
    return _too_many(receiver)


def _too_many(receiver: Receiver) -> Verdict | None:
    """A refusal for those who have failed too often lately."""
    limit, period = _limit(receiver)
    who = _who(receiver.session.connection.remote_ip)
    full = receiver.load.auth_failures.full(who, limit, period)
    return _not_now(limit, period) if full else None


def _limit(receiver: Receiver) -> tuple[int, int]:
    """How many failures there may be, and in how many seconds."""
    settings = receiver.session.settings
    return settings.smtp_server_auth_failures_max, settings.smtp_server_auth_failures_time


def _not_now(limit: int, period: int) -> Verdict:
    return reply.AUTH_LATER.because(f"the limit for one client is {limit} in {period} seconds")


def _made(receiver: Receiver, name: bytes) -> sasl.Mechanism:
    if name == sasl.ScramSha256.name:
        return sasl.ScramSha256(receiver.portal.checkers[sasl.IScramCredentials].salt_of)
    if name == sasl.CramMd5.name:
        return sasl.CramMd5(receiver.host)
    return _MECHANISMS[name]()


class _Exchange:
    """One AUTH, from its mechanism to its end."""

    def __init__(self, receiver: Receiver, mechanism: sasl.Mechanism) -> None:
        self._receiver = receiver
        self._mechanism = mechanism
        self._settings = receiver.session.settings

    def begin(self, initial: bytes) -> None:
        """The client may have said something with AUTH; C{=} is the empty string."""
        if initial:
            self._decode(b"" if initial == b"=" else initial, self._respond)
        else:
            self._ask(self._mechanism.challenge(), self._respond)

    def _ask(self, challenge: bytes, function: Callable[[bytes], None]) -> None:
        def answered(line: bytes | None) -> None:
            if line is None:
                self._refuse(reply.AUTH_LINE_TOO_LONG)
            elif line == b"*":
                self._refuse(reply.AUTH_CANCELLED)
            else:
                self._decode(line, function)

        self._receiver.ask(sasl.encoded(challenge), answered)

    def _decode(self, text: bytes, function: Callable[[bytes], None]) -> None:
        try:
            data = sasl.decoded(text)
        except sasl.Malformed:
            self._refuse(reply.BAD_BASE64)
        else:
            function(data)

    def _refuse(self, verdict: Verdict, user: bytes | None = None) -> None:
        self._receiver.refuse("auth", verdict, user or self._mechanism.name)

    def _respond(self, response: bytes) -> None:
        try:
            found = self._mechanism.answer(response)
        except sasl.Malformed:
            self._refuse(reply.BAD_SASL)
        except sasl.Forbidden:
            self._refuse(reply.BAD_CREDENTIALS.because("it wants to act for another user"))
        else:
            if isinstance(found, sasl.Credentials):
                self._check(found)
            else:
                self._ask(found, self._respond)

    def _check(self, credentials: sasl.Credentials) -> None:
        """Ask whether the credentials are right. Until that is known, it counts as a failure."""
        receiver = self._receiver
        limit, period = _limit(receiver)
        connection = receiver.session.connection
        who = _who(connection.remote_ip)
        failures = receiver.load.auth_failures
        if not failures.begin(who, limit, period):
            self._refuse(_not_now(limit, period), credentials.username)
            return
        credentials.environment = environment_for(connection, connection.as_environment())
        began = receiver.seconds()

        def right(avatar: Any) -> None:
            failures.end(who, False, period)
            if credentials.final is None:
                self._admit(credentials, avatar)
            else:
                self._ask(credentials.final, lambda last: self._finish(credentials, avatar, last))

        def wrong(failure: Failure) -> None:
            is_no = failure.check(LoginFailed) is not None
            failures.end(who, is_no, period)
            receiver.auth_failures += is_no
            # Not its text, which might hold a password.
            trouble = reply.AUTH_TROUBLE.because(failure.type.__name__)
            verdict = reply.BAD_CREDENTIALS if is_no else trouble
            self._later(began, lambda: self._failed(verdict, credentials.username))

        receiver.try_to_log_in(credentials, right, wrong)

    def _later(self, began: float, function: Callable[[], None]) -> None:
        """When enough time has passed since then, for all who fail alike."""
        passed = self._receiver.seconds() - began
        left = self._settings.smtp_server_auth_delay - passed
        if left <= 0:
            function()
            return
        waiting: Deferred[None] = Deferred()
        self._receiver.callLater(left, lambda: waiting.callback(None))
        self._receiver.when(waiting, lambda _none: function())

    def _failed(self, verdict: Verdict, user: bytes) -> None:
        self._refuse(verdict, user)
        if self._receiver.auth_failures >= self._settings.smtp_server_auth_tries:
            self._refuse(reply.TOO_MANY_AUTH_FAILURES, user)

    def _finish(self, credentials: sasl.Credentials, avatar: Any, last: bytes) -> None:
        """The client has seen that the server knows the password too, and has no more to say."""
        if last:
            self._refuse(reply.BAD_SASL, credentials.username)
        else:
            self._admit(credentials, avatar)

    def _admit(self, credentials: sasl.Credentials, avatar: Any) -> None:
        """The client is who it says; a check may be against it all the same."""
        receiver = self._receiver
        session = receiver.session
        before = session.relay
        receiver.take_on(avatar)

        def decided(verdict: Verdict | None) -> None:
            if isinstance(verdict, (Reject, Defer)):
                session.user, session.relay = None, before
                self._refuse(verdict, credentials.username)
                return
            if isinstance(verdict, Discard):
                receiver.throw_away(verdict)
            receiver.answer(reply.AUTH_OK)

        receiver.decide(Stage.AUTH, session.user or b"", decided)


class Auth(Extension):
    """Offered where a password can be checked, and nobody can listen."""

    keyword = b"AUTH"
    mail = {b"AUTH": _sender}
    commands = {b"AUTH": _do_auth}

    def offered(self, receiver: Receiver) -> bool:
        """Under TLS, unless the setting does without; and then for the whole session."""
        return _is_safe(receiver) and bool(_allowed(receiver))

    def line(self, receiver: Receiver) -> bytes:
        """With the mechanisms."""
        return b" ".join([self.keyword, *_allowed(receiver)])


EXTENSION = Auth()
