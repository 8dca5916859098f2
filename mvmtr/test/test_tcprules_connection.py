"""
Tests of what rules do to a connection (L{mvmtr.compat.tcprules}), against the real
C{tcpserver}.
"""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.tcprules import Rule, TcpRules, TcpRulesCheck
from mvmtr.compat.tcpserver import connection_from_environment
from mvmtr.interfaces import ICheck
from mvmtr.session import Connection, Session, Stage
from mvmtr.settings import Settings
from mvmtr.test.support import CLIENT, Talk, assemble, folder
from mvmtr.test.test_cdb import HEADER, make_cdb
from mvmtr.test.test_tcprules import compiled


class TcpserverTests(SynchronousTestCase):
    """What the real tcpserver does with a rule, to the environment of its child above all."""

    def setUp(self):
        home = folder(self)
        self.path = home / "rules.cdb"
        options = ("-1RH", "-l", "mx.example", "-x", str(self.path))
        server = subprocess.Popen(
            ["tcpserver", *options, "127.0.0.1", "0", "env", "-0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env={"PATH": os.environ["PATH"], "DATABYTES": "7", "KEPT": "1"},
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        with server.stdout:
            self.port = int(server.stdout.readline())

    def environment(self):
        """The variables of a child, but for the port of the client; none when turned away."""
        said = b""
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            try:
                while piece := connection.recv(10000):
                    said += piece
            except ConnectionResetError:
                pass
        variables = dict(line.split(b"=", 1) for line in said.split(b"\0")[:-1])
        variables.pop(b"TCPREMOTEPORT", None)
        return variables

    def without_rule(self):
        """The connection that a child sees when there is no rule for it."""
        make_cdb(self.path, [])
        environment = self.environment()
        self.assertEqual(environment[b"TCPREMOTEIP"], b"127.0.0.1")
        return connection_from_environment(environment)

    def test_a_connection_with_a_rule_applied_is_the_one_that_a_child_sees(self):
        before = self.without_rule()
        for data in (
            b"",
            b'+RELAYCLIENT=\0+DATABYTES=100\0+A="x=y"\0',
            b"+TCPREMOTEHOST=client.example\0+TCPREMOTEINFO=joe\0+TCPLOCALHOST=other.example\0",
            b"+TCPREMOTEIP=192.0.2.1\0+TCPLOCALIP=\0",
            b"+A=1\0+A=2\0+KEPT=\0",
            b"+NOVALUE\0+A=1\0NAME=value\0\0-B=1\0 +C=1\0+D=unended",
        ):
            make_cdb(self.path, [(b"127.", data)])
            rules = TcpRules(str(self.path))
            rule = rules.find(b"127.0.0.1", None, None)
            seen = connection_from_environment(self.environment())
            self.assertEqual(rules.apply(rule, before), seen, data)

    def test_tcpserver_turns_away_those_whose_rule_denies(self):
        for data, deny in {
            b"D\0": True,
            b"Dx\0": True,
            b"+A=1\0D\0+B=2\0": True,
            b"\0D\0": True,
            b"D": False,
            b"d\0": False,
            b"xD\0": False,
            b"+D=D\0": False,
        }.items():
            make_cdb(self.path, [(b"127.0.0.1", data)])
            self.assertEqual(self.environment() == {}, deny, data)
            rule = TcpRules(str(self.path)).find(b"127.0.0.1", None, None)
            self.assertEqual(rule.deny, deny, data)

    def test_tcpserver_turns_everybody_away_when_the_file_is_damaged(self):
        self.path.write_bytes(make_cdb(self.path, [(b"127.0.0.1", b"")]).read_bytes()[:HEADER])
        self.assertEqual(self.environment(), {})
        self.assertRaises(ControlError, TcpRules, str(self.path))


class ApplyTests(SynchronousTestCase):
    """From a rule to a session that is let in or not."""

    def setUp(self):
        path = folder(self) / "rules.cdb"
        self.rules = compiled(path, b':deny,WHY="spam"\n203.0.113.:allow,RELAYCLIENT=""\n')
        self.denied = f"{path}: rule ''"

    def applied(self, ip, **known):
        connection = replace(CLIENT, remote_ip=ip, **known)
        return self.rules.apply(self.rules.find(ip, None, None), connection)

    def test_a_session_may_relay_where_the_rule_says_so(self):
        connection = self.applied(b"203.0.113.9", environment={b"DATABYTES": b"9"})
        self.assertEqual(Session(connection, Settings()).relay, "RELAYCLIENT is set")
        self.assertEqual(connection.environment[b"DATABYTES"], b"9")
        self.assertEqual(connection.remote_host, CLIENT.remote_host)
        self.assertEqual(connection.denied, "")

    def test_a_denied_connection_says_which_rule_of_which_file_denies(self):
        connection = self.applied(b"192.0.2.1")
        self.assertEqual(connection.denied, self.denied)
        self.assertEqual(connection.environment[b"WHY"], b"spam")

    def test_keys_that_are_no_text_can_be_told_in_one_line(self):
        denied = self.rules.apply(Rule(b"\xff\n@=x.example", True, {}), CLIENT).denied
        self.assertEqual(denied, f"{self.rules.path}: rule '\\\\xff\\n@=x.example'")

    def test_a_rule_that_allows_takes_no_denial_back(self):
        connection = self.applied(b"203.0.113.9", denied="too many")
        self.assertEqual(connection.denied, "too many")

    def test_the_connection_that_was_there_is_not_changed(self):
        environment = {b"DATABYTES": b"9"}
        self.applied(b"203.0.113.9", environment=environment)
        self.assertEqual(environment, {b"DATABYTES": b"9"})


class CheckTests(SynchronousTestCase):
    """The check refuses denied connections, and has no opinion about others."""

    def check(self, connection):
        check = TcpRulesCheck()
        verifyObject(ICheck, check)
        self.assertEqual((check.name, check.stages), ("tcprules", {Stage.CONNECT}))
        return check.check(Session(connection, Settings()), Stage.CONNECT, b"")

    def test_a_connection_that_is_not_denied_is_left_to_others(self):
        self.assertIsNone(self.check(CLIENT))
        self.assertIsNone(self.check(Connection()))

    def test_a_denied_connection_is_refused_with_its_reason(self):
        verdict = self.check(replace(CLIENT, denied="rules.cdb: rule '10.'"))
        self.assertEqual((verdict.name, verdict.code), ("reject", 554))
        self.assertEqual(verdict.text, "5.7.1 no SMTP service for you here (#5.7.1)")
        self.assertEqual(verdict.reason, "rules.cdb: rule '10.'")

    def test_the_client_hears_it_instead_of_a_greeting(self):
        assembly = assemble(checks=(TcpRulesCheck(),))
        talk = Talk(assembly, replace(CLIENT, denied="rule"))
        self.assertRegex(talk.said, rb"\A554[ -].*no SMTP service for you here \(#5\.7\.1\)\r\n")
        self.assertEqual(Talk(assembly).codes, [220])
