"""Tests for L{mvmtr.auth.chain}."""

from __future__ import annotations

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.auth.chain import Chain, Unavailable
from mvmtr.auth.sasl import CramCredentials, ICramCredentials, IScramCredentials, PlainCredentials
from mvmtr.test.auth_support import PASSWORD, USER, password_file, scram_file
from mvmtr.test.support import folder


class Answers:
    """A checker that answers what it was told to."""

    def __init__(self, *answers, interfaces=(IUsernamePassword,)):
        self.credentialInterfaces = interfaces
        self.answers = list(answers)

    def requestAvatarId(self, credentials):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def no():
    return fail(UnauthorizedLogin())


class ChainTests(SynchronousTestCase):
    """Several checkers as one."""

    def ask(self, *checkers, credentials=None):
        return Chain(checkers).requestAvatarId(credentials or PlainCredentials(USER, PASSWORD))

    def test_one_yes_is_enough(self):
        asked = self.ask(Answers(no()), Answers(succeed(b"ann")), Answers())
        self.assertEqual(self.successResultOf(asked), b"ann")

    def test_all_no_is_no(self):
        self.failureResultOf(self.ask(Answers(no()), Answers(no())), UnauthorizedLogin)

    def test_without_a_yes_trouble_is_trouble(self):
        for first, second in (RuntimeError(), no()), (no(), fail(RuntimeError())):
            self.failureResultOf(self.ask(Answers(first), Answers(second)), Unavailable)

    def test_with_a_yes_trouble_is_none(self):
        asked = self.ask(Answers(RuntimeError()), Answers(succeed(b"ann")))
        self.assertEqual(self.successResultOf(asked), b"ann")

    def test_only_those_are_asked_that_know_how(self):
        hashed = Answers(interfaces=(IUsernameHashedPassword,))
        self.assertEqual(self.successResultOf(self.ask(hashed, Answers(succeed(b"ann")))), b"ann")
        self.failureResultOf(
            self.ask(Answers(), credentials=CramCredentials(USER, b"x", b"0" * 32)),
            UnauthorizedLogin,
        )

    def test_a_name_is_printable_and_not_empty(self):
        for name in b"", b"a\nb", b"a\0", None, (), 7:
            self.failureResultOf(self.ask(Answers(succeed(name))), Unavailable)
        self.assertEqual(self.successResultOf(self.ask(Answers(succeed("änn")))), "änn".encode())

    def test_who_gives_it_up_gives_up_the_checker(self):
        cancelled = []
        asked = self.ask(Answers(Deferred(cancelled.append)), Answers())
        asked.cancel()
        self.assertEqual(len(cancelled), 1)
        self.failureResultOf(asked, CancelledError)

    def test_what_can_be_checked(self):
        home = folder(self)
        passwords, keys = password_file(home), scram_file(home)
        both = {IUsernamePassword, IScramCredentials}
        self.assertEqual(set(Chain([keys]).credentialInterfaces), both)
        self.assertEqual(
            set(Chain([passwords]).credentialInterfaces),
            both | {IUsernameHashedPassword, ICramCredentials},
        )
        self.assertEqual(Chain([]).credentialInterfaces, ())

    def test_salts_are_those_of_the_file_of_keys(self):
        home = folder(self)
        keys = scram_file(home)
        chain = Chain([password_file(home), keys])
        for user in USER, b"nobody":
            self.assertEqual(chain.salt_of(user), keys.salt_of(user))

    def test_salts_without_one_are_made_up(self):
        chain = Chain([password_file(folder(self))])
        self.assertNotEqual(chain.salt_of(USER), chain.salt_of(USER))
        self.assertEqual(len(chain.salt_of(USER)[0]), 16)

    def test_users_that_are_not_there_cost_as_much_work(self):
        compared = []
        chain = Chain([password_file(folder(self))])
        for user in USER, b"nobody":
            credentials = CramCredentials(user, b"x", b"0" * 32)
            compare = credentials._compare

            def count(password, compare=compare):
                compared.append(password)
                return compare(password)

            credentials._compare = count
            self.failureResultOf(chain.requestAvatarId(credentials), UnauthorizedLogin)
        self.assertEqual(len(compared), 2)
