"""Tests for L{mvmtr.auth.from_string}, L{mvmtr.auth.plugin} and the options of AUTH."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.cred import strcred
from twisted.cred.credentials import Anonymous, IUsernamePassword
from twisted.mail.interfaces import IMessageDelivery
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.auth.checkpassword import CheckPassword
from mvmtr.auth.from_string import BadChecker, checker_from_string, types
from mvmtr.auth.portal import portal_for
from mvmtr.auth.sasl import PlainCredentials
from mvmtr.auth.scram import ScramFile
from mvmtr.session import Session
from mvmtr.tap import Options
from mvmtr.test.auth_support import PASSWORD, USER, password_file, program, scram_path
from mvmtr.test.support import CLIENT, assemble, environment, folder

MARKER = "x-marker-x"


class CheckerTests(SynchronousTestCase):
    """Checkers from strings."""

    def setUp(self):
        self.home = folder(self)

    def ask(self, checker, user=USER, password=PASSWORD):
        return checker.requestAvatarId(PlainCredentials(user, password))

    def test_those_of_twisted(self):
        password_file(self.home)
        for text in f"file:{self.home}/passwords", "memory:ann:open sesame":
            checker = checker_from_string(text)
            self.assertEqual(self.successResultOf(self.ask(checker)), USER)

    def test_a_file_does_not_depend_on_the_folder(self):
        password_file(self.home)
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.home)
        checker = checker_from_string("file:passwords")
        os.chdir("/")
        self.assertEqual(self.successResultOf(self.ask(checker)), USER)

    def test_our_own(self):
        self.assertIsInstance(checker_from_string(f"scram:{scram_path(self.home)}"), ScramFile)
        path = program(self.home)
        self.assertIsInstance(checker_from_string(f"checkpassword:{path}"), CheckPassword)

    def test_all_of_the_system_s_users(self):
        checker = checker_from_string("unix")
        self.assertEqual(checker.credentialInterfaces, (IUsernamePassword,))

    def test_our_own_are_plugins_for_others_too(self):
        found = {factory.authType: factory for factory in strcred.findCheckerFactories()}
        for kind, text in ("scram", scram_path(self.home)), ("checkpassword", program(self.home)):
            self.assertTrue(verifyObject(strcred.ICheckerFactory, found[kind]))
            self.assertTrue(IPlugin.providedBy(found[kind]))
            self.assertIsNotNone(strcred.makeChecker(f"{kind}:{text}"))

    def test_errors_say_what_is_wrong_and_no_password(self):
        for text, wanted in (
            (f"nosuch:{MARKER}", "there is no password check 'nosuch'"),
            ("anonymous", "anonymous: does not check passwords"),
            (f"memory:{MARKER}", "memory: InvalidAuthArgumentString"),
            ("scram:/no/such/file", "scram: /no/such/file: No such file or directory"),
            ("checkpassword:/no/such", "checkpassword: /no/such is no program"),
        ):
            error = self.assertRaises(BadChecker, checker_from_string, text)
            self.assertEqual(str(error), wanted)

    def test_the_types_are_listed(self):
        listed = {line.split()[0] for line in types()}
        self.assertLessEqual({"file", "memory", "unix", "scram", "checkpassword"}, listed)
        self.assertNotIn("anonymous", listed)


class OptionTests(SynchronousTestCase):
    """--auth, --help-auth and --submission."""

    def options(self, *arguments):
        options = Options()
        options.parseOptions(["--no-qmail", "--queue=discard:", *arguments])
        return options

    def user(self, portal, credentials):
        assembly = assemble()
        mind = Session(CLIENT, assembly.configuration.settings), assembly.configuration
        login = portal.login(credentials, mind, IMessageDelivery)
        return self.successResultOf(login)[1].user

    def test_auth_may_be_repeated(self):
        options = self.options("--auth=memory:ann:open sesame", "--auth=memory:bob:x")
        portal = portal_for(options["auth"])
        self.assertEqual(self.user(portal, PlainCredentials(USER, PASSWORD)), USER)
        self.assertEqual(self.user(portal, PlainCredentials(b"bob", b"x")), b"bob")
        self.assertIsNone(self.user(portal, Anonymous()))

    def test_without_it_nobody_has_a_name(self):
        self.assertEqual(len(portal_for([]).listCredentialsInterfaces()), 1)

    def test_a_bad_one_ends_the_program(self):
        error = self.assertRaises(SystemExit, self.options, f"--auth=nosuch:{MARKER}")
        self.assertEqual(str(error), "mvmtr: --auth there is no password check 'nosuch'")

    def test_submission_is_one_of_the_sources(self):
        self.assertTrue(self.options("--submission").sources().submission)
        self.assertFalse(self.options().sources().submission)

    def test_submission_without_auth_is_a_warning(self):
        (warning,) = self.options("--submission").warnings()
        self.assertIn("nobody may send", warning)
        self.assertEqual([*self.options("--submission", "--auth=memory:a:b").warnings()], [])

    def run_program(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "mvmtr", *arguments],
            capture_output=True, text=True, env=environment(), cwd="/", check=False,
        )  # fmt: skip

    def test_check_says_when_auth_can_not_be(self):
        options = ("check", "--no-qmail", "--queue=discard:", "--auth=memory:a:b")
        for more, wanted in ((), 1), (("--set=smtp_server_auth_insecure=on",), 0):
            said = self.run_program(*options, *more).stdout
            self.assertEqual(said.count("warning: AUTH is not offered"), wanted, said)

    def test_explain_can_take_the_client_for_a_user(self):
        senders = folder(self) / "senders"
        senders.write_text("ann: @ours.example\n")
        options = (
            "explain", "--no-qmail", "--ip=203.0.113.7", "--to=r@x.example", "--submission",
            f"--set=smtp_server_sender_map={senders}", "--auth=memory:ann:secret", "--tls",
        )  # fmt: skip
        for more, wanted in (
            (("--from=s@ours.example",), "submission at mail: reject 530"),
            (("--user=ann", "--from=s@ours.example"), "(authenticated as ann)"),
            (("--user=ann", "--from=s@x.example"), "sender_map at mail: reject 550"),
        ):
            said = self.run_program(*options, *more).stdout
            self.assertIn(wanted, said)
            self.assertIn("250-AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\n", said)
            self.assertNotIn("secret", said)

    def test_help_auth_lists_them(self):
        done = self.run_program("--help-auth")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("checkpassword  [cram:]PROGRAM [ARGUMENT]...\n", done.stdout)

    def test_the_plugin_file_loads_nothing_heavy(self):
        code = (
            "import sys, twisted.plugins.mvmtr_auth;"
            "print([name for name in sys.modules if name.startswith('mvmtr.protocol')"
            " or name in ('scramp', 'OpenSSL', 'twisted.internet.reactor', 'twisted.mail.smtp')])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
        )
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))

    def test_a_server_without_auth_does_not_load_scramp(self):
        code = (
            "import sys, mvmtr.tap, mvmtr.protocol.smtp;"
            "from mvmtr.test.support import assemble, Talk;"
            "Talk(assemble()).send(b'EHLO c', b'AUTH PLAIN', b'QUIT');"
            "print([name for name in sys.modules if name in ('scramp', 'mvmtr.auth.chain')])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
        )
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))


class PasswordTests(SynchronousTestCase):
    """The program that makes a line of a file."""

    def make(self, *arguments, password=PASSWORD + b"\n"):
        return subprocess.run(
            [sys.executable, "-m", "mvmtr", "password", *arguments],
            input=password, capture_output=True, env=environment(), cwd="/", check=False,
        )  # fmt: skip

    def test_its_line_lets_the_user_in(self):
        done = self.make("--iterations=5000", "ann")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertRegex(done.stdout, rb"\Aann:SCRAM-SHA-256\$5000:[^\n]+\n\Z")
        self.assertNotIn(PASSWORD, done.stdout)
        path = folder(self) / "keys"
        path.write_bytes(done.stdout)
        checker = ScramFile(str(path))
        self.assertTrue(checker._users[b"ann"].accepts(PASSWORD))

    def test_what_it_refuses(self):
        for arguments, password in (
            ((), PASSWORD), (("a", "b"), PASSWORD), (("",), PASSWORD), (("ann",), b""),
            (("ann",), b"\xff"), (("--iterations=4095", "ann"), PASSWORD),
            (("--iterations=x", "ann"), PASSWORD), (("--iterations=10000001", "ann"), PASSWORD),
        ):  # fmt: skip
            done = self.make(*arguments, password=password + b"\n")
            self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
            self.assertRegex(done.stderr, rb"\Amvmtr: [^\n]+\n\Z")
