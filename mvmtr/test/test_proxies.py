"""Real proxies and fronts before the real program: HAProxy, and swaks with XCLIENT."""

from __future__ import annotations

import smtplib
import socket
import ssl
import subprocess
import time

from mvmtr.test.certificates import HOST, Authority
from mvmtr.test.headers import V1, V2
from mvmtr.test.support import environment, free_port, twistd, wait_for_port
from mvmtr.test.test_listener import ListenerTestCase

TRUSTED = "--set=smtp_server_proxy_networks=127.0.0.1"

HAPROXY = """
defaults
    mode tcp
    timeout connect 20s
    timeout client 20s
    timeout server 20s
listen mail
    bind {here}
    {options}
    server mvmtr {there} {server}
"""


class ProxyTestCase(ListenerTestCase):
    """A server behind a real HAProxy."""

    def start_proxy(self, server, here="127.0.0.1", options=""):
        """HAProxy before the server; C{self.port} is its port from now on, not that of before."""
        behind, self.port = self.port, free_port()
        config = self.home / "haproxy.cfg"
        config.write_text(
            HAPROXY.format(
                here=f"{here}:{self.port}",
                there=f"127.0.0.1:{behind}",
                server=server,
                options=options,
            )
        )
        log = (self.home / "haproxy.log").open("wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        if here.startswith("127"):
            wait_for_port(self.port, process)
        return behind

    def send(self, source, host="127.0.0.1"):
        """A message that is taken."""
        with smtplib.SMTP(host, self.port, source_address=(source, 0)) as client:
            client.ehlo("c.example")
            client.sendmail("s@remote.example", ["r@local.example"], "Subject: x\n\nx\n")

    def await_log(self, *texts):
        """The first line of the log that holds all of these."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if all(text in line for text in texts):
                    return line
            time.sleep(0.05)
        raise AssertionError(f"{texts} in no line of:\n{self.log.read_text()}")


class HaproxyTests(ProxyTestCase):
    """The PROXY protocol as HAProxy speaks it."""

    def assert_clients_are_seen(self, server):
        self.write_rules(
            '127.0.0.1:allow,RELAYCLIENT=""\n'
            '127.0.0.2:allow,RELAYCLIENT=""\n'
            "127.0.0.3:deny\n"
            ":allow\n"
        )
        self.start(f"--tcp-rules={self.rules}", TRUSTED)
        self.start_proxy(server)
        self.assertEqual(self.rcpt("r@elsewhere.example", "127.0.0.2"), 250)
        self.assertTrue(self.first_line(self.connect("127.0.0.3")).startswith(b"554 5.7.1 "))
        self.assertEqual(self.rcpt("r@elsewhere.example", "127.0.0.4"), 553)
        self.send("127.0.0.5")
        header = self.recorder.recorded("message").split(b"\n  by ")[0]
        self.assertEqual(header, b"Received: from unknown (HELO c.example) (127.0.0.5)")
        variables = self.recorder.recorded("environment").split(b"\0")
        self.assertIn(b"TCPREMOTEIP=127.0.0.5", variables)
        self.assertNotIn(b"RELAYCLIENT=", variables)
        self.await_log("event=message", " client=127.0.0.5 via=127.0.0.1 ")

    def test_checks_rules_and_log_see_the_client_by_version_1(self):
        self.assert_clients_are_seen("send-proxy")

    def test_checks_rules_and_log_see_the_client_by_version_2(self):
        self.assert_clients_are_seen("send-proxy-v2")

    def test_extensions_of_version_2_are_skipped(self):
        self.start(TRUSTED)
        options = "proxy-v2-options crc32c,unique-id,authority,ssl,cert-cn,ssl-cipher"
        self.start_proxy(f"send-proxy-v2 {options}", options="unique-id-format %ID")
        self.send("127.0.0.5")
        self.await_log("event=message", " client=127.0.0.5 via=127.0.0.1 ")

    def test_clients_of_ipv6_are_seen_by_both_versions(self):
        for server in ("send-proxy", "send-proxy-v2"):
            self.port = free_port()
            self.start_on(
                f"tcp:{self.port}:interface=127.0.0.1",
                TRUSTED,
                "--set=smtp_server_rcpt_domains=local.example",
            )
            self.start_proxy(server, here="[::1]")
            self.await_connection("::1")
            self.send("::1", host="::1")
            self.await_log("event=message", " client=::1 via=127.0.0.1 ")

    def await_connection(self, host):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection((host, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nothing listens")

    def test_limits_hold_for_the_client_and_not_for_the_proxy(self):
        self.start(TRUSTED, "--max-per-address=1")
        self.start_proxy("send-proxy-v2")
        clients = [self.connect(f"127.0.0.{number}") for number in (5, 6, 7)]
        for client in clients:
            self.assertEqual(self.first_line(client)[:4], b"220 ")
        self.assertEqual(self.first_line(self.connect("127.0.0.5"))[:4], b"421 ")
        self.await_log("client=127.0.0.5 command=connect", "the limit for one client is 1")

    def test_the_health_check_of_the_proxy_is_a_session_of_its_own(self):
        # In version 1 HAProxy names itself, in version 2 it says that it speaks for itself.
        for server, via in (("send-proxy", " via=127.0.0.1"), ("send-proxy-v2", "")):
            self.port = free_port()
            self.start(TRUSTED)
            options = "option smtpchk EHLO proxy.example"
            self.start_proxy(f"{server} check inter 200ms", options=options)
            self.await_log("event=connection", f" client=127.0.0.1{via} helo=proxy.example quit=")
            self.send("127.0.0.5")

    def test_only_the_proxy_is_believed_and_it_must_have_a_header(self):
        self.start(TRUSTED)
        behind = self.start_proxy("send-proxy")
        self.port = behind
        client = self.connect("127.0.0.9")
        client.sendall(V1)
        lines = client.makefile("rb")
        self.assertEqual([lines.readline()[:4] for _ in range(2)], [b"220 ", b"502 "])
        client = self.connect("127.0.0.1")
        client.sendall(b"EHLO x\r\n")
        self.assertEqual(self.first_line(client)[:9], b"421 4.3.0")
        self.await_log("client=127.0.0.1 command=connect", "what came first is no PROXY header")

    def test_a_server_that_stops_does_not_wait_for_a_header(self):
        self.start(TRUSTED)
        client = self.connect()
        client.sendall(V1[:20])
        # When this one is greeted, the other one waits.
        other = self.connect("127.0.0.9")
        self.assertEqual(self.first_line(other)[:4], b"220 ")
        other.close()
        self.server.terminate()
        self.assertEqual(client.recv(100), b"")
        self.assertEqual(self.server.wait(20), -15)

    def test_relayclient_around_the_server_is_nobodys(self):
        self.start(TRUSTED, RELAYCLIENT="", TCPREMOTEHOST="x.example")
        self.send("127.0.0.9")
        variables = self.recorder.recorded("environment").split(b"\0")
        names = {variable.partition(b"=")[0] for variable in variables}
        self.assertEqual(names & {b"RELAYCLIENT", b"TCPREMOTEHOST"}, set())


class TcpserverTests(ProxyTestCase):
    """HAProxy before tcpserver, and that before C{--stdio}."""

    def test_the_process_sees_the_client(self):
        self.port = free_port()
        self.write_rules('127.0.0.1:allow,RELAYCLIENT=""\n')
        self.start_tcpserver("mvmtr", "--stdio", f"--control-dir={self.control}", TRUSTED)
        self.start_proxy("send-proxy-v2")
        self.assertEqual(self.rcpt("r@elsewhere.example", "127.0.0.5"), 553)
        self.send("127.0.0.6")
        header = self.recorder.recorded("message").split(b"\n  by ")[0]
        self.assertEqual(header, b"Received: from unknown (HELO c.example) (127.0.0.6)")

    def start_tcpserver(self, *arguments):
        address = ["127.0.0.1", str(self.port)]
        with open(self.log, "wb") as log:
            server = subprocess.Popen(
                ["tcpserver", "-HR", "-x", self.rules, *address, *twistd(*arguments)],
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=environment(RECORD_DIR=str(self.recorder.records)),
            )
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        wait_for_port(self.port, server)


class SwaksTestCase(ProxyTestCase):
    """With swaks as the client."""

    def swaks(self, *arguments, source="127.0.0.1"):
        return subprocess.run(
            ["swaks", "--server", f"127.0.0.1:{self.port}", "--local-interface", source,
             "--from", "s@remote.example", "--to", "r@local.example", "--helo", "c.example",
             *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )  # fmt: skip


class TlsTests(SwaksTestCase):
    """The header of a proxy comes before TLS, which is that of the client."""

    def start_alone(self, kind):
        self.authority = Authority(self.home)
        self.authority.write(self.control / "servercert.pem", HOST)
        self.port = free_port()
        self.start_on(f"{kind}:{self.port}:interface=127.0.0.1", TRUSTED)

    def start_secure(self, kind, server):
        self.start_alone(kind)
        return self.start_proxy(server)

    def assert_secure(self, *arguments):
        done = self.swaks(*arguments, source="127.0.0.5")
        self.assertEqual(done.returncode, 0, done.stdout)
        message = self.recorder.recorded("message", self.recorder.runs - 1)
        self.assertIn(b"(127.0.0.5)\n  by mx.example with ESMTPS; ", message)
        self.await_log("event=connection", " client=127.0.0.5 via=127.0.0.1 ", " tls=")

    def test_starttls_behind_a_proxy(self):
        for server in ("send-proxy", "send-proxy-v2"):
            self.start_secure("tcp", server)
            self.assert_secure("--tls")

    def test_tls_from_the_first_byte_behind_a_proxy(self):
        for server in ("send-proxy", "send-proxy-v2"):
            self.start_secure("tls", server)
            self.assert_secure("--tls-on-connect")

    def test_the_header_may_come_in_one_piece_with_the_handshake(self):
        self.start_alone("tls")
        for size in (1, 20, 10_000):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self.authority.client().wrap_bio(incoming, outgoing, server_hostname=HOST)
            peer = self.connect()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.assertRaises(ssl.SSLWantReadError, tls.do_handshake)
            data = V2 + outgoing.read()
            for place in range(0, len(data), size):
                peer.sendall(data[place : place + size])
            while True:
                incoming.write(peer.recv(65536))
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pass
            peer.sendall(outgoing.read())
            self.assertEqual(self.read_some(tls, peer, incoming)[:4], b"220 ")
            peer.close()
        self.await_log("event=connection", " client=203.0.113.9 via=127.0.0.1 ", " tls=")

    def read_some(self, tls, peer, incoming):
        while True:
            try:
                return tls.read()
            except ssl.SSLWantReadError:
                incoming.write(peer.recv(65536))

    def test_what_is_no_header_is_not_answered_in_clear(self):
        self.start_alone("tls")
        peer = self.connect()
        peer.sendall(b"\x16\x03\x01")
        self.assertEqual(peer.recv(100), b"")

    def test_a_client_that_has_no_proxy_begins_with_tls(self):
        self.port = self.start_secure("tls", "send-proxy")
        done = self.swaks("--tls-on-connect", source="127.0.0.5")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.await_log("event=connection", " client=127.0.0.5 helo=", " tls=")


class XclientTests(SwaksTestCase):
    """XCLIENT as swaks speaks it."""

    def test_it_speaks_for_another_client(self):
        self.start("--set=smtp_server_xclient_networks=127.0.0.1")
        for run, (address, meant) in enumerate(
            (("203.0.113.9", "203.0.113.9"), ("IPV6:2001:DB8::9", "2001:db8::9"))
        ):
            done = self.swaks("--xclient-addr", address, "--xclient-name", "Client.Example")
            self.assertEqual(done.returncode, 0, done.stdout)
            header = self.recorder.recorded("message", run).split(b"\n  by ")[0]
            seen = f"Received: from client.example (HELO c.example) ({meant})".encode()
            self.assertEqual(header, seen)
            self.await_log("event=message", f" client={meant} via=127.0.0.1 ")

    def test_a_login_lets_the_client_relay(self):
        self.start("--set=smtp_server_xclient_networks=127.0.0.1")
        xclient = ("--xclient-addr", "203.0.113.9", "--to", "r@elsewhere.example")
        self.assertEqual(self.swaks(*xclient).returncode, 24)
        done = self.swaks(*xclient, "--xclient-login", "bob@local.example")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.await_log("event=message", " user=bob@local.example ")

    def test_who_is_not_trusted_may_not(self):
        self.start("--set=smtp_server_xclient_networks=127.0.0.1")
        done = self.swaks("--xclient-addr", "203.0.113.9", source="127.0.0.2")
        self.assertIn("Host did not advertise XCLIENT", done.stdout)
        client = self.connect("127.0.0.2")
        client.sendall(b"XCLIENT ADDR=127.0.0.1\r\n")
        lines = client.makefile("rb")
        self.assertEqual([lines.readline()[:4] for _ in range(2)], [b"220 ", b"550 "])
        self.await_log(" client=127.0.0.2 ", "command=xclient argument=")

    def test_it_may_speak_through_a_proxy_as_well(self):
        self.start(TRUSTED, "--set=smtp_server_xclient_networks=127.0.0.5")
        self.start_proxy("send-proxy-v2")
        done = self.swaks("--xclient-addr", "203.0.113.9", source="127.0.0.5")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.await_log("event=message", " client=203.0.113.9 via=127.0.0.5 ")

    def test_the_rules_are_those_for_the_other_client(self):
        self.write_rules(
            '127.0.0.1:allow,RELAYCLIENT=""\n203.0.113.8:deny\n=good.example:allow,RELAYCLIENT=""\n'
        )
        networks = "--set=smtp_server_xclient_networks=127.0.0.1"
        self.start(f"--tcp-rules={self.rules}", networks)
        to = ("--to", "r@elsewhere.example")
        self.assertEqual(self.swaks(*to).returncode, 0)
        self.assertEqual(self.swaks(*to, "--xclient-addr", "203.0.113.9").returncode, 24)
        named = ("--xclient-addr", "203.0.113.9", "--xclient-name", "good.example")
        self.assertEqual(self.swaks(*to, *named).returncode, 0)
        denied = self.swaks(*to, "--xclient-addr", "203.0.113.8")
        self.assertIn("554 5.7.1 no SMTP service for you here", denied.stdout)
