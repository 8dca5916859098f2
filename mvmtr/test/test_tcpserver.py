"""Tests for L{mvmtr.compat.tcpserver}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.tcpserver import connection_from_environment
from mvmtr.session import Connection, Session
from mvmtr.settings import Settings

NAMES = ("REMOTEIP", "REMOTEHOST", "REMOTEINFO", "LOCALIP", "LOCALHOST")


def family(prefix):
    """A whole set of variables, each with its own name as value."""
    return {f"{prefix}{name}".encode(): f"{prefix}-{name}".encode() for name in NAMES}


def values(connection):
    return [
        connection.remote_ip,
        connection.remote_host,
        connection.remote_info,
        connection.local_ip,
        connection.local_host,
    ]


class TcpserverTests(SynchronousTestCase):
    """From variables to a connection."""

    def assertFamily(self, prefix, environment):
        connection = connection_from_environment(environment)
        self.assertEqual(values(connection), list(family(prefix).values()))
        self.assertEqual(connection.environment, environment)

    def test_each_variable_has_its_place(self):
        self.assertFamily("TCP", family("TCP"))
        self.assertFamily("TCP", {b"PROTO": b"TCP", **family("TCP")})

    def test_an_empty_environment_is_a_connection_of_which_nothing_is_known(self):
        self.assertEqual(connection_from_environment({}), Connection())

    def test_the_variables_of_ipv6_stand_in_for_missing_ones(self):
        self.assertFamily("TCP6", family("TCP6"))
        self.assertFamily("TCP6", {b"PROTO": b"TCP", **family("TCP6")})

    def test_proto_says_which_family_counts(self):
        both = {**family("TCP"), **family("TCP6")}
        self.assertFamily("TCP", both)
        self.assertFamily("TCP", {b"PROTO": b"TCP", **both})
        self.assertFamily("TCP6", {b"PROTO": b"TCP6", **both})

    def test_with_proto_tcp6_the_variables_of_ipv4_stand_in_for_missing_ones(self):
        self.assertFamily("TCP", {b"PROTO": b"TCP6", **family("TCP")})

    def test_each_value_is_looked_for_by_itself(self):
        connection = connection_from_environment(
            {b"TCPREMOTEIP": b"203.0.113.7", b"TCP6REMOTEHOST": b"client.example"}
        )
        self.assertEqual(connection.remote_ip, b"203.0.113.7")
        self.assertEqual(connection.remote_host, b"client.example")

    def test_an_empty_value_is_a_value(self):
        connection = connection_from_environment({b"TCPREMOTEHOST": b"", b"TCP6REMOTEHOST": b"x"})
        self.assertEqual(connection.remote_host, b"")
        self.assertIsNone(connection.remote_ip)

    def test_bytes_stay_bytes(self):
        connection = connection_from_environment({b"TCPREMOTEINFO": b"\xff\xfe"})
        self.assertEqual(connection.remote_info, b"\xff\xfe")

    def test_relayclient_counts_even_when_it_is_empty(self):
        for environment, relay in (({}, ""), ({b"RELAYCLIENT": b""}, "RELAYCLIENT is set")):
            session = Session(connection_from_environment(environment), Settings())
            self.assertEqual(session.relay, relay)

    def test_programs_get_the_variables_under_the_common_names_as_well(self):
        environment = {b"PROTO": b"TCP6", b"TCP6REMOTEIP": b"2001:db8::7", b"OTHER": b"1"}
        connection = connection_from_environment(environment)
        self.assertEqual(
            connection.as_environment(), {b"TCPREMOTEIP": b"2001:db8::7", **environment}
        )
