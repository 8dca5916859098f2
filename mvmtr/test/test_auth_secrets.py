"""Nothing of a password is told to anybody, whatever happens to it on its way."""

from __future__ import annotations

import hmac
import io
from base64 import b64decode, b64encode

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import connectionDone
from twisted.logger import (
    FileLogObserver,
    eventAsJSON,
    formatEventAsClassicLogText,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.checkpassword import CheckPassword
from mvmtr.auth.sasl import IScramCredentials
from mvmtr.session import Reject
from mvmtr.test.auth_support import (
    USER,
    AuthTalk,
    base64,
    cram,
    password_file,
    plain,
    program,
    scram_client,
    scram_file,
)
from mvmtr.test.stand_ins import Says
from mvmtr.test.support import folder

MARKER = b"mArKeR-0123456789"
ALL = (IUsernamePassword, IUsernameHashedPassword, IScramCredentials)


def shifted(marker):
    """Base64 of it, wherever in a longer text it stands."""
    for before in range(3):
        text = b64encode(b"x" * before + marker + b"x" * 3)
        yield text[4 if before else 0 : len(text) - 8]


class Raises:
    """A checker that tells all that it knows, and fails."""

    credentialInterfaces = ALL

    def __init__(self, at_once):
        self._at_once = at_once

    def requestAvatarId(self, credentials):
        known = getattr(credentials, "password", b"")
        error = RuntimeError(f"{vars(credentials)} {known!r}")
        if self._at_once:
            raise error
        return fail(error)


class Never:
    """A checker that has no answer."""

    credentialInterfaces = ALL

    def requestAvatarId(self, credentials):
        return Deferred()


class SecretTests(SynchronousTestCase):
    """All that is logged and all that is replied, for one marker as password."""

    def setUp(self):
        self.told = io.StringIO()
        text = FileLogObserver(self.told, formatEventAsClassicLogText)
        self.secrets = {MARKER, *shifted(MARKER), MARKER.hex().encode()}

        def observe(event):
            text(event)
            for name, value in event.items():
                self.told.write(f"{name}={value!s} {value!r}\n")
            self.told.write(eventAsJSON(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def play(self, talk, *lines, wait=100):
        """Send lines, wait, and go away."""
        heard = b""
        for line in lines:
            if talk.closed:
                break
            heard += talk.hear(line)
            talk.clock.advance(wait)
            heard += talk.said
            self.told.write(heard.decode("latin-1"))
        talk.receiver.connectionLost(connectionDone)
        return heard

    def tearDown(self):
        self.flushLoggedErrors()
        told = self.told.getvalue().encode()
        self.assertIn(b"event=connection", told)
        for secret in self.secrets:
            self.assertNotIn(secret, told)

    def everything(self, make):
        """The marker by each mechanism; C{make} makes the sessions."""
        secret = plain(password=MARKER)
        self.secrets |= {secret}
        self.play(make(), b"AUTH PLAIN " + secret)
        self.play(make(), b"AUTH PLAIN", secret)
        self.play(make(), b"AUTH LOGIN", base64(USER), base64(MARKER))
        self.play(make(), b"AUTH LOGIN " + base64(USER), base64(MARKER))
        self.by_challenge(make())
        self.by_proof(make())

    def by_challenge(self, talk):
        heard = talk.hear(b"AUTH CRAM-MD5")
        if heard.startswith(b"334 "):
            answer = cram(heard, USER, MARKER)
            digest = hmac.new(MARKER, b64decode(heard[4:]), "md5").hexdigest()
            self.secrets |= {answer, digest.encode()}
            self.play(talk, answer)

    def by_proof(self, talk):
        client = scram_client(USER, MARKER)
        heard = talk.hear(b"AUTH SCRAM-SHA-256 " + base64(client.get_client_first().encode()))
        if not heard.startswith(b"334 "):
            return
        client.set_server_first(b64decode(heard[4:]).decode())
        final = client.get_client_final().encode()
        self.secrets |= {base64(final), final.rpartition(b"p=")[2]}
        self.play(talk, base64(final), b"*")

    def test_right_and_wrong_passwords(self):
        home = folder(self)
        for password in MARKER, b"another":
            passwords = password_file(home, USER, password)
            self.everything(lambda passwords=passwords: AuthTalk(passwords))
            self.by_proof(AuthTalk(scram_file(home, (USER, password))))

    def test_checkers_that_break(self):
        for checker in Raises(True), Raises(False), Never():
            self.everything(lambda checker=checker: AuthTalk(checker))

    def test_programs_that_break(self):
        home = folder(self)
        path = program(home, "#!/no/such/interpreter\n")
        self.everything(lambda: AuthTalk(CheckPassword(path)))

    def test_refused_commands(self):
        passwords = password_file(folder(self))
        makes = (
            AuthTalk,
            lambda: AuthTalk(passwords, smtp_server_auth_insecure="off"),
            lambda: AuthTalk(passwords, smtp_server_auth_mechanisms="scram-sha-256"),
            lambda: AuthTalk(passwords, checks=(Says(auth=Reject(535, "5.7.8 no")),)),
            lambda: AuthTalk(passwords, smtp_server_auth_failures_max="1"),
            lambda: AuthTalk(passwords, smtp_server_errors_max="1"),
            lambda: AuthTalk(passwords, smtp_server_commands_max="2"),
        )
        for make in makes:
            self.everything(make)

    def test_checks_that_break(self):
        check = Says(auth=None)

        def broken(session, stage, argument):
            raise RuntimeError(vars(session))

        check.check = broken
        home = folder(self)
        self.everything(lambda: AuthTalk(password_file(home, USER, MARKER), checks=(check,)))

    def test_lines_that_are_none_of_an_exchange(self):
        talks = folder(self)
        secret = base64(MARKER)
        for first in (
            b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH CRAM-MD5", b"AUTH SCRAM-SHA-256", b"AUTH NTLM",
            b"AUTH", b"NOOP", b"AUTH PLAIN =", b"AUTH LOGIN !",
        ):  # fmt: skip
            for line in (
                secret, MARKER, secret + b"\r", MARKER + b"\r", secret + b"\0", MARKER + b"\0x",
                secret + b" x\r", b"AUTH " + secret, b"AUTH " + MARKER + b"\r",
                b"AUTH PLAIN " + MARKER, b"AUTH PLAIN " + MARKER + b"\0", b"AUTH\r " + MARKER,
                b"AUTH PLAIN " + secret + b" " + secret, b"*" + secret, secret * 2,
                MARKER * 1000, secret * 4000, base64(b"\0" + MARKER),
                base64(b"\0ann\0" + MARKER + b"\0"), base64(MARKER + b"\0ann"),
                base64(b"\0a\nb\0" + MARKER), base64(b"ann " + MARKER),
                base64(b"n,,n=ann,r=" + MARKER + b",p=x"), base64(b"p=" + MARKER + b",,n=a,r=x"),
            ):  # fmt: skip
                talk = AuthTalk(password_file(talks), smtp_server_command_max="3000")
                self.play(talk, first, line, MARKER, secret, secret + b"\r")

    def test_clients_that_leave_in_the_middle(self):
        passwords = password_file(folder(self))
        self.play(AuthTalk(passwords), b"AUTH LOGIN", base64(USER))
        talk = AuthTalk(passwords)
        talk.hear(b"AUTH LOGIN")
        talk.hear(base64(USER))
        talk.receiver.dataReceived(base64(MARKER))
        self.play(talk)
        talk = AuthTalk(Never())
        talk.hear(b"AUTH PLAIN " + plain(password=MARKER))
        self.play(talk)

    def test_silence_within_an_exchange(self):
        talk = AuthTalk(password_file(folder(self)))
        talk.hear(b"AUTH PLAIN")
        talk.receiver.dataReceived(plain(password=MARKER))
        talk.clock.advance(1000)
        self.assertTrue(talk.closed)
        self.play(talk)

    def test_a_portal_that_breaks(self):
        talk = AuthTalk(password_file(folder(self), USER, MARKER))

        def broken(avatar, mind, *interfaces):
            raise RuntimeError(MARKER.decode())

        talk.receiver.portal.realm.requestAvatar = broken
        self.assertIn(b"454 ", self.play(talk, b"AUTH PLAIN " + plain(password=MARKER)))
