# -*- test-case-name: mvmtr.test.test_settings -*-
"""
The table of controls: name, type, default, unit, meaning. Nothing else holds a default.

L{Settings} is an immutable value. It remembers where each control came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mvmtr.values import (
    DnsList,
    Network,
    SettingError,
    assignments,
    dns_lists,
    dns_server,
    folder,
    host_name,
    lines,
    names,
    networks,
    number,
    positive,
    some_of,
    switch,
    words,
)


def _control(parse: Callable[[str], Any], default: Any, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"parse": parse, "unit": unit, "meaning": meaning})


@dataclass(frozen=True)
class Control:
    """One row of the table; C{parse} makes a value of text or raises L{SettingError}."""

    name: str
    default: Any
    unit: str
    meaning: str
    parse: Callable[[str], Any]


@dataclass(frozen=True)
class Settings:
    """The value of every control, and in C{origins} where those came from that were set."""

    usehostname: bytes = _control(
        host_name,
        b"",
        "name",
        "own name in greeting and replies; empty: what the machine is called",
    )
    smtp_server_greeting: tuple[bytes, ...] = _control(
        lines, (), "lines", "text after the first line of the greeting"
    )
    smtp_server_localip_host: bytes | None = _control(
        host_name,
        None,
        "name",
        "stands in for own address literals; unset: usehostname if that is set",
    )
    smtp_server_timeout: int = _control(
        positive, 300, "seconds", "longest wait for data from the client"
    )
    smtp_server_timeout_helo: int | None = _control(
        positive, None, "seconds", "the same before the first HELO; unset: smtp_server_timeout"
    )
    smtp_server_timeout_data: int | None = _control(
        positive, None, "seconds", "the same within a message; unset: smtp_server_timeout"
    )
    smtp_server_msgsize_max: int = _control(
        number, 0, "bytes", "largest message, as stored; 0: no limit"
    )
    smtp_server_bodycache: int = _control(
        number, 131072, "bytes", "part of a message held in memory; the rest goes to a file"
    )
    smtp_server_spool: str = _control(
        folder, "", "folder", "for messages beyond the body cache; empty: the system's choice"
    )
    smtp_server_command_max: int = _control(positive, 65536, "bytes", "longest command line")
    smtp_server_recipients_max: int = _control(
        positive, 10000, "recipients", "of one message; further ones are put off with 452"
    )
    smtp_server_hops_max: int = _control(
        positive, 100, "fields", "Received and Delivered-To fields at which a message loops"
    )
    smtp_server_check_timeout: int = _control(
        positive, 60, "seconds", "longest wait for one check; then the client gets 451"
    )
    smtp_server_stop_timeout: int = _control(
        positive, 30, "seconds", "how long a stopping server waits for sessions to end"
    )
    smtp_server_connections_max: int = _control(
        positive, 40, "sessions", "at a time on a listening server; more are told 421"
    )
    smtp_server_connections_per_address: int | None = _control(
        number,
        None,
        "sessions",
        "the same from one client address; 0: no limit; unset: half of all, but for loopback",
    )
    smtp_server_connections_per_network: int | None = _control(
        number,
        None,
        "sessions",
        "the same from one network, IPv4 /24 or IPv6 /64; 0: no limit; unset: half of all on IPv6",
    )
    smtp_server_rate_time: int = _control(
        positive, 60, "seconds", "the time in which connections are counted for a rate"
    )
    smtp_server_rate_per_address: int = _control(
        number, 0, "connections", "in that time from one client address; 0: no limit"
    )
    smtp_server_rate_per_network: int = _control(
        number, 0, "connections", "in that time from one network, /24 or /64; 0: no limit"
    )
    smtp_server_session_timeout: int = _control(
        positive, 7200, "seconds", "longest session as a whole; then the client gets 421"
    )
    smtp_server_messages_max: int = _control(
        positive, 1000, "messages", "of one session; the next MAIL gets 421"
    )
    smtp_server_commands_max: int = _control(
        positive, 50000, "commands", "of one session; the next one gets 421"
    )
    smtp_server_errors_max: int = _control(
        positive, 1000, "replies", "of 4xx and 5xx in one session; then it ends with 421"
    )
    smtp_server_memory_max: int = _control(
        number,
        67108864,
        "bytes",
        "held in memory for all sessions; beyond, message text goes to files at once",
    )
    smtp_server_spool_free: int = _control(
        number, 16777216, "bytes", "to be left free on the file systems of spool and queue"
    )
    smtp_server_tls_cert: tuple[str, ...] = _control(
        names, (), "files", "certificates with their chains; empty: servercert.pem, if there is one"
    )
    smtp_server_tls_key: tuple[str, ...] = _control(
        names, (), "files", "their keys in the same order; empty: in the certificate files"
    )
    smtp_server_tls_clientca: str = _control(
        str, "", "file", "who signs client certificates; empty: clientca.pem, if there is one"
    )
    smtp_server_tls_clients: tuple[bytes, ...] = _control(
        words, (), "addresses", "in client certificates whose holders may relay"
    )
    smtp_server_tls_handshakes_max: int = _control(
        positive, 100, "handshakes", "under way at a time; then STARTTLS gets 454"
    )
    smtp_server_timeout_tls: int = _control(
        positive, 60, "seconds", "for a TLS handshake as a whole"
    )
    smtp_server_auth_mechanisms: tuple[str, ...] = _control(
        some_of("plain", "login", "cram-md5", "scram-sha-256"),
        (),
        "names",
        "offered by AUTH; empty: all that the password check can do",
    )
    smtp_server_auth_insecure: bool = _control(
        switch, False, "on/off", "offer AUTH without TLS as well"
    )
    smtp_server_auth_tries: int = _control(
        positive, 3, "failures", "of AUTH in one session; then it ends with 421"
    )
    smtp_server_auth_delay: int = _control(
        number, 2, "seconds", "from an AUTH to its refusal, at least"
    )
    smtp_server_auth_failures_max: int = _control(
        number, 20, "failures", "of AUTH from one client address in a time; 0: no limit"
    )
    smtp_server_auth_failures_time: int = _control(
        positive, 600, "seconds", "that time; while it lasts, AUTH gets 454"
    )
    smtp_server_sender_map: str = _control(
        str, "", "file", "senders that belong to each user, for submission"
    )
    smtp_server_smtputf8: bool | None = _control(
        switch, None, "on/off", "offer SMTPUTF8; unset: if the queue is known to carry it"
    )
    smtp_server_proxy_networks: tuple[Network, ...] = _control(
        networks, (), "networks", "of proxies, whose connections begin with a PROXY header"
    )
    smtp_server_xclient_networks: tuple[Network, ...] = _control(
        networks, (), "networks", "of clients that may speak for others by XCLIENT"
    )
    smtp_server_greet_delay: int = _control(
        number, 0, "seconds", "before the greeting; who speaks earlier gets 554; 0: no delay"
    )
    smtp_server_require_tls: bool = _control(switch, False, "on/off", "refuse MAIL without TLS")
    smtp_server_require_helo: bool = _control(
        switch, False, "on/off", "refuse MAIL before HELO or EHLO"
    )
    smtp_server_require_fqdn: tuple[str, ...] = _control(
        some_of("helo", "sender", "recipient"),
        (),
        "names",
        "of helo, sender, recipient: those that must have a full domain name",
    )
    smtp_server_sender_domain: bool = _control(
        switch, False, "on/off", "refuse senders whose domain the DNS does not have"
    )
    smtp_server_dnsbl: tuple[DnsList, ...] = _control(
        dns_lists, (), "zones", "DNS lists of client addresses, as ZONE[=ANSWER][*SCORE]"
    )
    smtp_server_dnswl: tuple[DnsList, ...] = _control(
        dns_lists, (), "zones", "the same for good clients; their scores are taken off"
    )
    smtp_server_rhsbl: tuple[DnsList, ...] = _control(
        dns_lists, (), "zones", "the same for domains of HELO names and senders"
    )
    smtp_server_dns_score: int = _control(
        positive, 1, "points", "from lists at which a client is refused"
    )
    smtp_server_dns: str = _control(
        dns_server, "", "endpoint", "ADDRESS[:PORT] of the DNS server to ask; empty: the system's"
    )
    smtp_server_mfl_steps: int = _control(
        positive, 200000, "steps", "of one hook of the startup file"
    )
    smtp_server_mfl_depth: int = _control(
        positive, 60, "calls", "of functions within each other in a hook"
    )
    smtp_server_mfl_memory: int = _control(
        positive, 32000000, "bytes", "of all strings that a hook makes or searches"
    )
    smtp_server_mfl_seconds: int = _control(
        positive, 30, "seconds", "for a hook, look-ups included"
    )
    smtp_server_mfl_sieve: tuple[bytes, ...] = _control(
        assignments,
        (),
        "lines",
        "NAME=VALUE for extensions of Sieve, as sieve_spamtest_status_header=X-Spam-Score",
    )
    smtp_server_assess_required: bool = _control(
        switch, False, "on/off", "put clients off while the server of --assess does not answer"
    )
    smtp_server_assess_timeout: int = _control(
        positive, 10, "seconds", "longest wait for its answer; at most a third of that for a check"
    )
    smtp_server_assess_connections: int = _control(
        positive, 20, "connections", "to it, each with one question under way; further ones wait"
    )
    smtp_server_assess_stages: tuple[str, ...] = _control(
        some_of("connect", "helo", "mail", "rcpt", "data", "message"),
        (),
        "names",
        "at which it is asked; empty: all for mvmcas, rcpt for other policy servers",
    )
    smtp_server_rcpt_domains: tuple[bytes, ...] = _control(
        words, (), "domains", "taken mail for, as well as rcpthosts; .name: all below name"
    )
    smtp_server_validrcptto: str = _control(
        str, "", "file", "cdb or text file of the recipients that exist, in the control folder"
    )
    smtp_server_rcpt_users: bool = _control(
        switch,
        False,
        "on/off",
        "refuse recipients with neither a user nor a .qmail file",
    )
    smtp_server_rcptcheck: str = _control(
        str, "", "program", "asked about every recipient; RCPTCHECK of a connection comes first"
    )
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @staticmethod
    def controls() -> Iterator[Control]:
        """The rows of the table."""
        for row in dataclasses.fields(Settings):
            if row.metadata:
                yield Control(name=row.name, default=row.default, **row.metadata)

    def with_(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
        """
        A copy with other values.

        @param values: control names and their new values.
        @param origins: for the same names, where the values come from.
        @raise SettingError: for a name that is no control.
        """
        unknown = set(values) - {control.name for control in self.controls()}
        if unknown:
            raise SettingError(f"there is no control {min(unknown)!r}")
        merged = MappingProxyType({**self.origins, **origins})
        return dataclasses.replace(self, **values, origins=merged)

    def origin(self, name: str) -> str:
        """Where the value of a control came from: C{control/me:1}, C{default}."""
        return self.origins.get(name, "default")


def parse(name: str, text: str) -> Any:
    """
    The value of a control from text, as on the command line.

    @raise SettingError: when there is no such control, or the text is no value for it.
    """
    for control in Settings.controls():
        if control.name == name:
            try:
                return control.parse(text)
            except SettingError as error:
                raise SettingError(f"{name}: {error}") from None
    raise SettingError(f"there is no control {name!r}")
