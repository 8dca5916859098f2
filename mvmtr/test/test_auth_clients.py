"""AUTH and submission with real clients against the real program: swaks, smtplib, scramp."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl
import subprocess

import trustme
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.auth_support import PASSWORD, USER, password_file, program, scram_client, scram_path
from mvmtr.test.support import environment, folder, free_port, twistd, wait_for_port

FROM = "ann@client.example"


class ProgramTests(SynchronousTestCase):
    """The program, whose mail goes to a Maildir."""

    options: tuple[str, ...] = ()

    def setUp(self):
        self.home = folder(self)
        self.maildir = self.home / "Maildir"

    def serve(self, *options, kind="tcp"):
        """Start it; what it logs goes to a file."""
        self.port = free_port()
        self.log = self.home / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                twistd(
                    "-n", "--pidfile=", "mvmtr", "--no-qmail",
                    f"--listen={kind}:{self.port}:interface=127.0.0.1",
                    f"--queue=maildir:{self.maildir}", "--set=smtp_server_auth_delay=0", *options,
                ),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env=environment(),
            )  # fmt: skip
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        wait_for_port(self.port, self.process)

    def files(self):
        """Options for a file of passwords."""
        password_file(self.home)
        return f"--auth=file:{self.home}/passwords"

    def keys(self):
        """Options for a file of keys."""
        return f"--auth=scram:{scram_path(self.home)}"

    def swaks(self, *options, password=PASSWORD, sender=FROM):
        """Run swaks; its exit status and what it printed."""
        done = subprocess.run(
            [
                "swaks", "--server", "127.0.0.1", "--port", str(self.port),
                "--helo", "client.example", "--from", sender, "--to", "r@elsewhere.example",
                "--auth-user", USER.decode(), "--auth-password", password.decode(), *options,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout

    def client(self):
        """smtplib, connected."""
        client = smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=60)
        self.addCleanup(client.close)
        return client

    def scram(self, client, password=PASSWORD):
        """Log in by SCRAM; the code of the reply."""
        other = scram_client(USER, password)
        steps = iter(
            (
                lambda _said: other.get_client_first(),
                lambda said: other.set_server_first(said) or other.get_client_final(),
                lambda said: other.set_server_final(said) or "",
            )
        )
        client.ehlo_or_helo_if_needed()
        return client.auth("SCRAM-SHA-256", lambda said=None: next(steps)((said or b"").decode()))

    def received(self):
        """The protocol in the Received field of each mail."""
        self.assertTrue((self.maildir / "new").is_dir())
        texts = [path.read_text() for path in (self.maildir / "new").iterdir()]
        return [text.partition(" with ")[2].partition(";")[0] for text in texts]


class ClearTests(ProgramTests):
    """Without TLS, where the setting allows it."""

    insecure = "--set=smtp_server_auth_insecure=on"

    def test_swaks_with_each_mechanism_it_knows(self):
        self.serve(self.files(), self.insecure)
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            status, said = self.swaks("--auth", mechanism)
            self.assertEqual(status, 0, said)
            self.assertIn(b"235 2.7.0", said)
        self.assertEqual(self.received(), ["ESMTPA"] * 3)

    def test_swaks_with_wrong_passwords(self):
        self.serve(self.files(), self.insecure)
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            status, said = self.swaks("--auth", mechanism, password=b"x-marker-x")
            self.assertEqual(status, 28, said)
            self.assertIn(b"535 5.7.8", said)
        log = self.log.read_text()
        self.assertEqual(log.count("command=auth argument=ann "), 3)
        self.assertNotIn("x-marker-x", log)

    def test_smtplib_with_each_mechanism_it_knows(self):
        self.serve(self.files(), self.insecure)
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            client = self.client()
            client.user, client.password = USER.decode(), PASSWORD.decode()
            client.ehlo()
            method = getattr(client, "auth_" + mechanism.lower().replace("-", "_"))
            self.assertEqual(client.auth(mechanism, method)[0], 235)
            for initial in True, False:
                other = self.client()
                self.assertEqual(self.logged_in(other, initial), 235)
            self.assertEqual(client.sendmail(FROM, "r@elsewhere.example", "Subject: x\n\nx"), {})
        self.assertEqual(self.received(), ["ESMTPA"] * 3)

    def logged_in(self, client, initial):
        return client.login(USER.decode(), PASSWORD.decode(), initial_response_ok=initial)[0]

    def test_smtplib_hears_of_a_wrong_password(self):
        self.serve(self.files(), self.insecure, "--set=smtp_server_auth_tries=9")
        with self.assertRaises(smtplib.SMTPAuthenticationError) as caught:
            self.client().login(USER.decode(), "wrong")
        self.assertEqual(caught.exception.smtp_code, 535)

    def test_scram_against_passwords_and_against_keys(self):
        for option in self.files(), self.keys():
            self.serve(option, self.insecure)
            client = self.client()
            self.assertEqual(self.scram(client)[0], 235)
            self.assertEqual(client.sendmail(FROM, "r@elsewhere.example", "Subject: x\n\nx"), {})
            with self.assertRaises(smtplib.SMTPAuthenticationError) as caught:
                self.scram(self.client(), b"wrong")
            self.assertEqual(caught.exception.smtp_code, 535)

    def test_plain_and_login_against_keys(self):
        self.serve(self.keys(), self.insecure)
        for mechanism in "PLAIN", "LOGIN":
            self.assertEqual(self.swaks("--auth", mechanism)[0], 0)
        self.assertEqual(self.swaks("--auth", "CRAM-MD5")[0], 28)
        self.assertEqual(self.swaks("--auth", "PLAIN", password=b"wrong")[0], 28)

    def test_a_program_with_the_checkpassword_interface(self):
        self.serve(f"--auth=checkpassword:{program(self.home)}", self.insecure)
        for mechanism in "PLAIN", "LOGIN":
            self.assertEqual(self.swaks("--auth", mechanism)[0], 0)
        self.assertEqual(self.swaks("--auth", "PLAIN", password=b"wrong")[0], 28)
        status, said = self.swaks("--auth", "PLAIN", password=b"kaputt")
        self.assertEqual((status, b"454 4.7.0" in said), (28, True), said)
        self.assertIn("checkpassword exited 111", self.log.read_text())

    def test_a_program_for_cram(self):
        text = (
            "#!/bin/sh\nset -e\n"
            "IFS= read -r line << END\n$(tr '\\0' '|' <&3)\nEND\n"
            "user=${line%%|*}; rest=${line#*|}; response=${rest%%|*}; rest=${rest#*|}\n"
            "challenge=${rest%%|*}\n"
            "wanted=$(printf %s \"$challenge\" | openssl dgst -md5 -hmac 'open sesame')\n"
            'test "$user" = ann && test "${wanted##* }" = "$response" || exit 1\n'
            'exec "$@"\n'
        )
        path = program(self.home, text)
        self.serve(f"--auth=checkpassword:cram:{path}", self.insecure)
        self.assertEqual(self.swaks("--auth", "CRAM-MD5")[0], 0)
        self.assertEqual(self.swaks("--auth", "CRAM-MD5", password=b"wrong")[0], 28)
        self.assertEqual(self.swaks("--auth", "PLAIN")[0], 28)

    def test_in_clear_there_is_none_without_the_setting(self):
        self.serve(self.files())
        status, said = self.swaks("--auth", "PLAIN")
        self.assertEqual(status, 28, said)
        client = self.client()
        client.ehlo()
        self.assertFalse(client.has_extn("auth"))
        self.assertEqual(client.docmd("AUTH PLAIN")[0], 538)

    def test_submission(self):
        senders = self.home / "senders"
        senders.write_text("ann: @client.example\n")
        self.serve(
            self.files(), self.insecure, "--submission", f"--set=smtp_server_sender_map={senders}"
        )
        client = self.client()
        client.ehlo()
        self.assertEqual(client.mail(FROM)[0], 530)
        self.assertEqual(self.swaks("--auth", "PLAIN")[0], 0)
        status, said = self.swaks("--auth", "PLAIN", sender="eve@elsewhere.example")
        self.assertEqual((status, b"550 5.7.1" in said), (23, True), said)
        senders.write_text("ann: @elsewhere.example\n")
        self.assertEqual(self.swaks("--auth", "PLAIN")[0], 23)
        self.assertEqual(self.swaks("--auth", "PLAIN", sender="eve@elsewhere.example")[0], 0)

    def test_too_many_failures_of_one_client_are_put_off_in_all_sessions(self):
        self.serve(self.files(), self.insecure, "--set=smtp_server_auth_failures_max=2")
        for _number in range(2):
            self.assertIn(b"535 ", self.swaks("--auth", "PLAIN", password=b"wrong")[1])
        self.assertIn(b"454 4.7.0 too many failures", self.swaks("--auth", "PLAIN")[1])


class TlsTests(ProgramTests):
    """With TLS, as it ought to be."""

    def setUp(self):
        super().setUp()
        authority = trustme.CA()
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
        pem = self.home / "servercert.pem"
        authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(pem)
        )
        self.tls = f"--set=smtp_server_tls_cert={pem}"

    def test_swaks_with_each_mechanism_it_knows(self):
        self.serve(self.files(), self.tls)
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            status, said = self.swaks("--tls", "--auth", mechanism)
            self.assertEqual(status, 0, said)
            status, said = self.swaks("--tls", "--auth", mechanism, password=b"wrong")
            self.assertEqual((status, b"535 5.7.8" in said), (28, True), said)
        self.assertEqual(self.received(), ["ESMTPSA"] * 3)

    def test_swaks_with_tls_from_the_first_byte(self):
        self.serve(self.files(), self.tls, "--submission", kind="tls")
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            options = ("--tls-on-connect", "--auth", mechanism)
            status, said = self.swaks(*options, sender="ann@client.example")
            self.assertEqual((status, b"550 5.7.1" in said), (23, True), said)
        self.process.kill()
        self.process.wait()
        self.serve(self.files(), self.tls, kind="tls")
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            status, said = self.swaks("--tls-on-connect", "--auth", mechanism)
            self.assertEqual(status, 0, said)
        self.assertEqual(self.received(), ["ESMTPSA"] * 3)

    def test_smtplib_and_scram(self):
        self.serve(self.keys(), self.tls)
        client = self.client()
        client.ehlo()
        self.assertFalse(client.has_extn("auth"))
        client.starttls(context=self.context)
        client.ehlo()
        self.assertEqual(client.esmtp_features["auth"].split(), ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
        self.assertEqual(self.scram(client)[0], 235)
        self.assertEqual(client.sendmail(FROM, "r@elsewhere.example", "Subject: x\n\nx"), {})
        self.assertEqual(self.received(), ["ESMTPSA"])
        self.assertRegex(self.log.read_text(), r"event=message [^\n]* user=ann ")

    def test_a_login_in_clear_does_not_outlive_the_handshake(self):
        self.serve(self.files(), self.tls, "--set=smtp_server_auth_insecure=on", "--submission")
        client = self.client()
        client.login(USER.decode(), PASSWORD.decode())
        client.starttls(context=self.context)
        client.ehlo()
        self.assertEqual(client.mail(FROM)[0], 530)
        self.assertEqual(client.login(USER.decode(), PASSWORD.decode())[0], 235)


class StdioTests(ProgramTests):
    """Under tcpserver."""

    def test_swaks(self):
        self.port = free_port()
        tcpserver = subprocess.Popen(
            [
                "tcpserver", "-HRl0", "127.0.0.1", str(self.port),
                *twistd(
                    "mvmtr", "--stdio", "--no-qmail", f"--queue=maildir:{self.maildir}",
                    "--set=smtp_server_auth_insecure=on", self.keys(),
                ),
            ],
            stderr=subprocess.DEVNULL, env=environment(), start_new_session=True,
        )  # fmt: skip
        self.addCleanup(tcpserver.wait)
        self.addCleanup(os.killpg, tcpserver.pid, signal.SIGKILL)
        wait_for_port(self.port, tcpserver)
        status, said = self.swaks("--auth", "PLAIN")
        self.assertEqual(status, 0, said)
        self.assertEqual(self.swaks("--auth", "LOGIN", password=b"wrong")[0], 28)
        self.assertEqual(self.received(), ["ESMTPA"])
