"""A listening server as it is run, with rules, names and limits."""

from __future__ import annotations

import os
import smtplib
import socket
import subprocess
import time

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.support import (
    Recorder,
    control_folder,
    environment,
    folder,
    free_port,
    twistd,
    wait_for_port,
)


class ListenerTestCase(SynchronousTestCase):
    """
    What the tests below share: a real server with the recorder as its queue.

    @cvar launcher: what starts it, if that is another program.
    @ivar server: the process.
    """

    launcher = ()

    def setUp(self):
        self.home = folder(self)
        self.control = control_folder(
            self.home, {"me": "mx.example\n", "rcpthosts": "local.example\n"}
        )
        self.recorder = Recorder(self.home)
        self.rules = self.home / "rules.cdb"
        self.log = self.home / "log"

    def write_rules(self, text):
        """Compile rules with the real tcprules, which replaces the file by rename."""
        subprocess.run(
            ["tcprules", str(self.rules), str(self.rules) + ".tmp"],
            input=text.encode(),
            check=True,
        )

    def start(self, *arguments, **variables):
        """Start a server on 127.0.0.1; it listens when this returns."""
        self.port = free_port()
        self.start_on(f"tcp:{self.port}:interface=127.0.0.1", *arguments, **variables)

    def start_on(self, *endpoints, **variables):
        """The same on endpoints; an argument that begins with dashes is another option."""
        arguments = [one if one.startswith("--") else f"--listen={one}" for one in endpoints]
        with open(self.log, "wb") as log:
            control = f"--control-dir={self.control}"
            server = subprocess.Popen(
                [*self.launcher, *twistd("-n", "--pidfile=", "mvmtr", control, *arguments)],
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=environment(RECORD_DIR=str(self.recorder.records), **variables),
            )
        self.server = server
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        wait_for_port(self.port, server)

    def connect(self, source="127.0.0.1"):
        client = socket.create_connection(("127.0.0.1", self.port), 20, source_address=(source, 0))
        self.addCleanup(client.close)
        return client

    def first_line(self, client):
        return client.makefile("rb").readline()

    def rcpt(self, recipient, source="127.0.0.1"):
        with smtplib.SMTP("127.0.0.1", self.port, source_address=(source, 0)) as client:
            client.ehlo("c.example")
            client.mail("s@remote.example")
            return client.rcpt(recipient)[0]


class RulesTests(ListenerTestCase):
    """The file of tcpserver's C{-x} acts as it does there."""

    def test_the_rules_of_tcpserver_act_on_each_connection(self):
        self.write_rules(
            '127.0.0.2:allow,RELAYCLIENT=""\n'
            "127.0.0.3:deny\n"
            '127.0.0.4:allow,DATABYTES="10"\n'
            ":allow\n"
        )
        self.start(f"--tcp-rules={self.rules}")
        self.assertEqual(self.rcpt("r@elsewhere.example"), 553)
        self.assertEqual(self.rcpt("r@elsewhere.example", "127.0.0.2"), 250)
        self.assertTrue(self.first_line(self.connect("127.0.0.3")).startswith(b"554 5.7.1 "))
        with smtplib.SMTP("127.0.0.1", self.port, source_address=("127.0.0.4", 0)) as client:
            client.ehlo("c.example")
            self.assertEqual(client.esmtp_features["size"], "10")
            self.assertEqual(client.mail("s@remote.example", ["SIZE=11"])[0], 552)
        self.assertIn(f"{self.rules}: rule '127.0.0.3'", self.log.read_text())

    def test_variables_reach_the_queue_program_and_qmailqueue_names_it(self):
        other = self.home / "other-queue"
        os.rename(self.recorder.program, other)
        self.write_rules(f'127.:allow,QMAILQUEUE="{other}",MARK="a=b"\n')
        self.start(f"--tcp-rules={self.rules}")
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            client.sendmail("s@remote.example", "r@local.example", "Subject: x\r\n\r\nx\r\n")
        variables = self.recorder.recorded("environment").split(b"\0")
        self.assertIn(b"MARK=a=b", variables)
        self.assertIn(b"TCPREMOTEIP=127.0.0.1", variables)

    def test_new_rules_act_on_the_next_connection(self):
        self.write_rules(":allow\n")
        self.start(f"--tcp-rules={self.rules}")
        self.assertEqual(self.rcpt("r@elsewhere.example"), 553)
        self.write_rules(':allow,RELAYCLIENT=""\n')
        self.assertEqual(self.rcpt("r@elsewhere.example"), 250)
        self.write_rules(":allow\n")
        self.assertEqual(self.rcpt("r@elsewhere.example"), 553)

    def test_rules_that_are_damaged_or_gone_leave_the_last_good_ones_in_force(self):
        self.write_rules("127.0.0.3:deny\n:allow\n")
        self.start(f"--tcp-rules={self.rules}")
        good = self.home / "good"
        os.link(self.rules, good)
        for damage in (b"", good.read_bytes()[:-8], b"127.0.0.3:deny\n"):
            self.rules.unlink()
            self.assertTrue(self.first_line(self.connect("127.0.0.3")).startswith(b"554 "))
            self.rules.write_bytes(damage)
            self.assertTrue(self.first_line(self.connect("127.0.0.3")).startswith(b"554 "))
            self.assertTrue(self.first_line(self.connect()).startswith(b"220 "))
        log = self.log.read_text()
        self.assertIn(f"{self.rules}: damaged: ", log)
        self.assertIn(f"{self.rules}: No such file or directory; the last good", log)

    def test_rules_that_are_damaged_while_they_are_open_let_nobody_in(self):
        self.write_rules(":allow\n")
        self.start(f"--tcp-rules={self.rules}")
        with open(self.rules, "r+b") as rules:
            rules.truncate(2052)
        self.assertTrue(self.first_line(self.connect()).startswith(b"421 "))


class EnvironmentTests(ListenerTestCase):
    """What a listening server takes from its own environment, and what not."""

    def test_databytes_and_qmailqueue_count_and_relayclient_does_not(self):
        other = self.home / "other-queue"
        os.rename(self.recorder.program, other)
        self.start(DATABYTES="1000", QMAILQUEUE=str(other), RELAYCLIENT="")
        with smtplib.SMTP("127.0.0.1", self.port) as client:
            client.ehlo("c.example")
            self.assertEqual(client.esmtp_features["size"], "1000")
            client.sendmail("s@remote.example", "r@local.example", "x\r\n")
        self.assertEqual(self.recorder.runs, 1)
        self.assertEqual(self.rcpt("r@elsewhere.example"), 553)
        self.assertIn("RELAYCLIENT in the environment", self.log.read_text())


class AddressTests(ListenerTestCase):
    """The examples of the help for IPv6."""

    def test_an_ipv6_port_takes_both_and_names_ipv4_clients_as_such(self):
        port = self.port = free_port()
        self.start_on(f"tcp6:{port}")
        self.assertEqual(self.rcpt("r@elsewhere.example"), 553)
        with smtplib.SMTP("::1", port) as client:
            client.ehlo("c.example")
            client.mail("s@remote.example")
            self.assertEqual(client.rcpt("r@elsewhere.example")[0], 553)
        log = self.log.read_text()
        self.assertIn(" client=127.0.0.1 ", log)
        self.assertIn(" client=::1 ", log)

    def test_addresses_can_be_listed(self):
        self.port = free_port()
        self.start_on(f"tcp:{self.port}:interface=127.0.0.1", f"tcp6:{self.port}:interface=\\:\\:1")
        self.assertEqual(self.rcpt("r@local.example"), 250)
        with smtplib.SMTP("::1", self.port) as client:
            self.assertEqual(client.noop()[0], 250)


class LimitTests(ListenerTestCase):
    """Too many connections are told so."""

    def test_connections_beyond_the_limit_get_421_until_one_ends(self):
        self.start("--max-connections=2")
        first, second = self.greeted(), self.greeted()
        third = self.connect()
        self.assertTrue(self.first_line(third).startswith(b"421 4.7.0 too many"))
        self.assertEqual(third.recv(100), b"")
        first.sendall(b"QUIT\r\n")
        while first.recv(100):
            pass
        self.greeted()
        second.close()

    def greeted(self):
        """A client that has been greeted, once there is a place for it."""
        for _attempt in range(100):
            client = self.connect()
            if self.first_line(client).startswith(b"220 "):
                return client
            time.sleep(0.05)
        raise AssertionError("there never was a place")

    def test_one_client_can_not_take_all_connections(self):
        self.start("--max-per-address=1")
        client = self.connect("127.0.0.2")
        self.assertTrue(self.first_line(client).startswith(b"220 "))
        self.assertTrue(self.first_line(self.connect("127.0.0.2")).startswith(b"421 "))
        self.assertTrue(self.first_line(self.connect("127.0.0.3")).startswith(b"220 "))
        self.assertIn("the limit for one client is 1", self.log.read_text())


class RecipientTests(ListenerTestCase):
    """Recipients that exist, by each of the checks."""

    def test_a_list_of_recipients_is_read_live(self):
        (self.control / "validrcptto").write_text("joe@local.example\n")
        self.start("--set=smtp_server_validrcptto=validrcptto")
        self.assertEqual(self.rcpt("joe@local.example"), 250)
        self.assertEqual(self.rcpt("ann@local.example"), 550)
        self.assertEqual(self.rcpt("joe@elsewhere.example"), 553)
        (self.control / "validrcptto").write_text("joe@local.example\nann@local.example\n")
        self.assertEqual(self.rcpt("ann@local.example"), 250)

    def test_rcptcheck_comes_from_the_rules_as_well(self):
        program = self.home / "rcptcheck"
        program.write_text('#!/bin/sh\ncase "$RECIPIENT" in joe@*) exit 0;; esac\nexit 100\n')
        program.chmod(0o755)
        self.write_rules(f'127.0.0.1:allow,RCPTCHECK="{program}"\n:allow\n')
        self.start(f"--tcp-rules={self.rules}")
        self.assertEqual(self.rcpt("joe@local.example"), 250)
        self.assertEqual(self.rcpt("ann@local.example"), 550)
        self.assertEqual(self.rcpt("ann@local.example", "127.0.0.2"), 250)

    def test_users_of_the_system_and_their_dot_qmail_files(self):
        (self.control / "locals").write_text("local.example\n")
        users = self.home / "users"
        users.mkdir()
        mail = self.home / "mail"
        mail.mkdir()
        (mail / ".qmail-list").touch()
        value = b"u\x001001\x001001\0" + os.fsencode(mail) + b"\0\0\0"
        wild = b"u\x001001\x001001\0" + os.fsencode(mail) + b"\0-\0"
        records = [(b"", b"-"), (b"!u\0", value), (b"!u-", wild)]
        data = b"".join(
            b"+%d,%d:%s->%s\n" % (len(key), len(value), key, value) for key, value in records
        )
        subprocess.run(["cdbmake", "cdb", "tmp"], input=data + b"\n", cwd=users, check=True)
        self.start("--set=smtp_server_rcpt_users=on")
        self.assertEqual(self.rcpt("u@local.example"), 250)
        self.assertEqual(self.rcpt("u-list@local.example"), 250)
        self.assertEqual(self.rcpt("u-nothing@local.example"), 550)
