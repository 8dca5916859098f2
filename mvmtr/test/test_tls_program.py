"""TLS of the program as it is run: ports, certificates that change, and what it says about them."""

from __future__ import annotations

import os
import signal
import smtplib
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from mvmtr import certificate_advice
from mvmtr.protocol.tls import Certificates, files_of
from mvmtr.settings import Settings
from mvmtr.test.certificates import Authority, Client
from mvmtr.test.support import (
    Recorder,
    control_folder,
    environment,
    folder,
    free_port,
    twistd,
    wait_for_port,
)


class ProgramTestCase(SynchronousTestCase):
    """What the tests below share: a real server, certificates, and the recorder as its queue."""

    def setUp(self):
        self.home = folder(self)
        self.authority = Authority(self.home)
        self.tls = self.authority.client()
        self.control = control_folder(
            self.home,
            {
                "me": "mx.example\n",
                "rcpthosts": "ours.example\n",
                "servercert.pem": self.authority.text("mx.example"),
            },
        )
        self.recorder = Recorder(self.home)
        self.log = self.home / "log"

    def arguments(self, *options):
        return twistd("-n", "--pidfile=", "mvmtr", f"--control-dir={self.control}", *options)

    def start(self, *options, kind="tcp", rest=""):
        """Start a server on a port of its own; an endpoint is made of C{kind} and C{rest}."""
        self.port = free_port()
        endpoint = f"--listen={kind}:{self.port}:interface=127.0.0.1{rest}"
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                self.arguments(endpoint, *options),
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=environment(RECORD_DIR=str(self.recorder.records)),
            )
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.terminate)
        wait_for_port(self.port, self.server)

    def wait_for(self, text):
        """Wait until it stands in the log."""
        end = time.monotonic() + 30
        while text not in self.log.read_text():
            if time.monotonic() > end:
                self.fail(f"no {text!r} in:\n{self.log.read_text()}")
            time.sleep(0.02)

    def names(self, asked="mx.example"):
        """The names in the certificate that a client gets by STARTTLS."""
        with Client(self.port, name=asked) as client:
            client.starttls(self.authority.client(verify=True))
            return client.certificate


class ImplicitTests(ProgramTestCase):
    """TLS from the first byte."""

    def send(self):
        with smtplib.SMTP_SSL("127.0.0.1", self.port, "c", timeout=30, context=ANY) as client:
            client.ehlo()
            self.assertNotIn("starttls", client.esmtp_features)
            client.sendmail("s@client.example", "r@ours.example", "Subject: x\r\n\r\nx\r\n")
        message = self.recorder.recorded("message")
        self.assertRegex(message, rb"\n  by mx\.example with ESMTPS; ")
        self.wait_for('tls="TLSv1.3 ')

    def test_an_endpoint_of_our_own_uses_the_certificate_of_the_controls(self):
        self.start(kind="tls")
        self.send()
        with Client(self.port, self.tls) as client:
            self.assertEqual(client.certificate, ("mx.example",))
            self.assertTrue(client.reply().startswith(b"220 mx.example ESMTP"))
            self.assertEqual(client.say(b"EHLO c", b"STARTTLS", b"QUIT"), [250, 503, 221])

    def test_an_ssl_endpoint_of_twisted_works_as_well(self):
        path = str(self.control / "servercert.pem")
        self.start(kind="ssl", rest=f":privateKey={path}:certKey={path}")
        self.send()

    def test_swaks_sends_under_tls_from_the_first_byte(self):
        self.start(kind="tls")
        done = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(self.port), "--tls-on-connect",
             "--from", "s@client.example", "--to", "r@ours.example"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout.decode())

    def test_without_a_certificate_it_is_an_error_at_start(self):
        (self.control / "servercert.pem").unlink()
        done = subprocess.run(
            self.arguments("--listen=tls:0:interface=127.0.0.1"),
            capture_output=True, text=True, env=environment(), timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertIn(
            "mvmtr: cannot listen on 'tls:0:interface=127.0.0.1': there is no certificate\n",
            done.stderr,
        )

    def test_who_does_not_begin_a_handshake_is_logged_and_cut_off(self):
        self.start("--set=smtp_server_timeout_tls=1", kind="tls")
        with Client(self.port) as silent, Client(self.port) as clear:
            clear.connection.sendall(b"EHLO c\r\nMAIL FROM:<evil@x>\r\n")
            self.assertNotIn(b"250", clear.rest())
            self.assertEqual(silent.rest(), b"")
        self.wait_for("it took more than 1 seconds")
        self.assertIn("command=connect", self.log.read_text())
        self.assertNotIn("evil", self.log.read_text())

    def test_the_header_of_a_proxy_comes_before_tls(self):
        for kind in ("tcp", "tls"):
            self.start("--set=smtp_server_proxy_networks=127.0.0.1", kind=kind)
            with Client(self.port) as client:
                client.connection.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 25\r\n")
                if kind == "tls":
                    client.encrypt(self.tls)
                    client.reply()
                else:
                    client.starttls(self.tls)
                self.assertEqual(client.say(b"EHLO c", b"QUIT"), [250, 221])
            self.wait_for("client=203.0.113.9 via=127.0.0.1 helo=c tls=")

    def test_too_many_handshakes_at_a_time_are_cut_off(self):
        self.start("--set=smtp_server_tls_handshakes_max=1", kind="tls")
        with Client(self.port) as first:
            first.connection.sendall(b"\x16\x03\x01\x02\x00\x01")
            end = time.monotonic() + 30
            while "too many handshakes" not in self.log.read_text():
                self.assertLess(time.monotonic(), end)
                with Client(self.port) as second:
                    self.assertEqual(second.rest(), b"")

    def test_a_client_that_is_turned_away_hears_so_under_tls(self):
        self.start("--max-connections=1", kind="tls")
        end = time.monotonic() + 30
        greeting = b"421"
        while greeting.startswith(b"421"):
            # The connection that showed that the port is open may not be forgotten yet.
            self.assertLess(time.monotonic(), end)
            with Client(self.port, self.tls) as first:
                greeting = first.reply()
                with Client(self.port, self.tls) as second:
                    turned_away = second.reply()
        self.assertTrue(turned_away.startswith(b"421 4.7.0 "), turned_away)


class ChangeTests(ProgramTestCase):
    """Certificates are read again when they were edited."""

    def test_a_new_certificate_serves_the_next_handshake_and_no_session_is_lost(self):
        self.start("--listen=tls:0:interface=127.0.0.1")
        self.assertEqual(self.names(), ("mx.example",))
        with Client(self.port) as before, Client(self.port) as waiting:
            before.starttls(self.tls)
            waiting.reply()
            text = self.authority.text("mx.example", "new.example")
            (self.control / "servercert.pem").write_text(text)
            self.assertEqual(self.names(), ("mx.example", "new.example"))
            self.assertEqual(before.say(b"EHLO c", b"QUIT"), [250, 221])
            self.assertEqual(waiting.say(b"STARTTLS"), [220])
            waiting.encrypt(self.tls)
            self.assertEqual(waiting.certificate, ("mx.example",))

    def test_a_port_with_tls_from_the_first_byte_has_it_as_well(self):
        self.start(kind="tls")
        for names in (("mx.example",), ("mx.example", "new.example")):
            (self.control / "servercert.pem").write_text(self.authority.text(*names))
            with Client(self.port, self.tls) as client:
                self.assertEqual(client.certificate, names)

    def test_a_broken_certificate_leaves_the_last_good_one_in_force_and_is_logged(self):
        self.start()
        self.assertEqual(self.names(), ("mx.example",))
        path = self.control / "servercert.pem"
        good = path.read_text()
        for broken in ("", "garbage", good[:200]):
            path.write_text(broken)
            (self.control / "databytes").write_text("12345")
            self.assertEqual(self.names(), ("mx.example",))
        self.wait_for("servercert.pem: there is no certificate in it; the certificates that were")
        with Client(self.port) as client:
            client.reply()
            client.connection.sendall(b"EHLO c\r\n")
            self.assertIn(b"SIZE 12345", client.reply())
        path.unlink()
        self.assertEqual(self.names(), ("mx.example",))
        self.wait_for("servercert.pem is gone; the certificates that were read before")
        os.kill(self.server.pid, signal.SIGHUP)
        self.wait_for("the configuration was read again")
        path.write_text(self.authority.text("mx.example", "new.example"))
        self.assertEqual(self.names(), ("mx.example", "new.example"))

    def test_a_first_certificate_may_come_later_and_a_broken_one_does_no_harm(self):
        path = self.control / "servercert.pem"
        path.unlink()
        self.start()
        path.write_text("garbage")
        with Client(self.port) as client:
            client.reply()
            self.assertEqual(client.say(b"EHLO c", b"STARTTLS"), [250, 502])
        self.wait_for("there is no TLS until that is mended")
        path.write_text(self.authority.text("mx.example"))
        self.assertEqual(self.names(), ("mx.example",))

    def test_of_several_certificates_the_client_gets_the_one_it_asks_for(self):
        other = self.authority.write("other.pem", "mail.other.example", "*.other.example")
        path = self.control / "servercert.pem"
        self.start(f"--set=smtp_server_tls_cert={path} {other}")
        self.assertEqual(self.names("mx.example"), ("mx.example",))
        for asked in ("mail.other.example", "x.other.example", "X.OTHER.EXAMPLE"):
            self.assertEqual(self.names(asked), ("mail.other.example", "*.other.example"))
        with Client(self.port, name="unknown.example") as client:
            client.starttls(self.authority.client(verify=False))
            self.assertEqual(client.say(b"NOOP"), [250])
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.names("unknown.example")

    def test_a_broken_certificate_is_an_error_at_start(self):
        (self.control / "servercert.pem").write_text("garbage")
        done = subprocess.run(
            self.arguments("--listen=tcp:0:interface=127.0.0.1"),
            capture_output=True, text=True, env=environment(), timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1)
        self.assertIn("servercert.pem: there is no certificate in it\n", done.stderr)

    def test_mail_without_tls_can_be_refused(self):
        self.start("--set=smtp_server_require_tls=on")
        with Client(self.port) as client:
            client.reply()
            self.assertEqual(
                client.say(b"EHLO c", b"MAIL FROM:<a@b>", b"STARTTLS"), [250, 530, 220]
            )
            client.encrypt(self.tls)
            self.assertEqual(client.say(b"EHLO c", b"MAIL FROM:<a@b>"), [250, 250])


class AdviceTests(ProgramTestCase):
    """C{mvmtr check} and C{mvmtr explain}."""

    def run_program(self, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", "mvmtr", arguments[0], f"--control-dir={self.control}",
             "--queue=discard:", *arguments[1:]],
            capture_output=True, text=True, env=environment(), check=False, timeout=60,
        )  # fmt: skip
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def write(self, *names, mode=0o640, **options):
        path = self.control / "servercert.pem"
        path.write_text(self.authority.text(*names, **options))
        path.chmod(mode)

    def test_certificates_are_printed_with_names_and_end(self):
        end = datetime.now(UTC) + timedelta(days=300)
        self.write("mx.example", "b.example", not_after=end)
        status, output = self.run_program("check")
        self.assertEqual(status, 0)
        self.assertIn(
            f"\n  {self.control}/servercert.pem: mx.example b.example; good until {end:%Y-%m-%d}",
            output,
        )
        self.assertNotIn("warning", output)

    def warnings(self, **values):
        """What there is to say about the certificate in the control folder."""
        settings = Settings().with_({"usehostname": b"mx.example", **values}, {})
        files = files_of(settings, str(self.control))
        return "\n".join(certificate_advice.warnings(Certificates(files), settings))

    def test_what_will_cause_trouble_is_a_warning(self):
        now = datetime.now(UTC)
        for days, text in ((-1, "expired on "), (5, "expires in 4 days")):
            self.write("mx.example", not_after=now + timedelta(days=days))
            self.assertIn(text, self.warnings())
        self.write("other.example")
        self.assertIn("no certificate is for mx.example, the name of this", self.warnings())
        self.write("*.example")
        self.assertEqual(self.warnings(), "")
        self.write("mx.example", mode=0o644)
        self.assertIn("everybody on this machine may use the private key", self.warnings())
        self.write("mx.example")
        self.assertIn("no clientca.pem", self.warnings(smtp_server_tls_clients=(b"joe@x",)))

    def test_warnings_are_printed(self):
        (self.control / "servercert.pem").unlink()
        status, output = self.run_program("check", "--set=smtp_server_require_tls=on")
        self.assertEqual(status, 0)
        self.assertIn("\nwarning: smtp_server_require_tls is on, but there is no cert", output)
        self.write("other.example")
        self.assertIn("\nwarning: ", self.run_program("check")[1])

    def test_what_can_not_work_is_an_error(self):
        path = self.control / "servercert.pem"
        path.write_text(self.authority.text("mx.example").partition("-----BEGIN CERT")[0])
        status, output = self.run_program("check")
        self.assertEqual((status, output), (1, f"error: {path}: there is no certificate in it\n"))
        path.unlink()
        status, output = self.run_program("check", "--listen=tls:465")
        self.assertEqual(status, 1)
        self.assertIn("\nerror: --listen=tls:465: there is no certificate\n", output)

    def test_an_explanation_needs_no_certificate_and_can_be_under_tls(self):
        (self.control / "servercert.pem").write_text("garbage")
        arguments = "explain", "--ip=192.0.2.7", "--set=smtp_server_require_tls=on"
        self.assertIn("530 5.7.0 must issue a STARTTLS", self.run_program(*arguments)[1])
        self.assertIn("250 2.1.0 ok", self.run_program(*arguments, "--tls")[1])


ANY = ssl.create_default_context()
ANY.check_hostname = False
ANY.verify_mode = ssl.CERT_NONE
