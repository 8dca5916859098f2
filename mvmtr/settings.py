# -*- test-case-name: mvmtr.test.test_settings -*-
"""
The table of controls of a receiver. Nothing else holds a default.
"""

from __future__ import annotations

from dataclasses import dataclass

from mvmtr.table import Table, control
from mvmtr.values import (
    DnsList,
    Network,
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
    users,
    words,
)


@dataclass(frozen=True)
class Settings(Table):
    """The value of every control, and in C{origins} where those came from that were set."""

    usehostname: bytes = control(
        host_name,
        b"",
        "name",
        "own name in greeting and replies; empty: what the machine is called",
    )
    smtp_server_greeting: tuple[bytes, ...] = control(
        lines, (), "lines", "text after the first line of the greeting"
    )
    smtp_server_localip_host: bytes | None = control(
        host_name,
        None,
        "name",
        "stands in for own address literals; unset: usehostname if that is set",
    )
    smtp_server_timeout: int = control(
        positive, 300, "seconds", "longest wait for data from the client"
    )
    smtp_server_timeout_helo: int | None = control(
        positive, None, "seconds", "the same before the first HELO; unset: smtp_server_timeout"
    )
    smtp_server_timeout_data: int | None = control(
        positive, None, "seconds", "the same within a message; unset: smtp_server_timeout"
    )
    smtp_server_msgsize_max: int = control(
        number, 0, "bytes", "largest message, as stored; 0: no limit"
    )
    smtp_server_bodycache: int = control(
        number, 131072, "bytes", "part of a message held in memory; the rest goes to a file"
    )
    smtp_server_spool: str = control(
        folder, "", "folder", "for messages beyond the body cache; empty: the system's choice"
    )
    smtp_server_command_max: int = control(positive, 65536, "bytes", "longest command line")
    smtp_server_recipients_max: int = control(
        positive, 10000, "recipients", "of one message; further ones are put off with 452"
    )
    smtp_server_hops_max: int = control(
        positive, 100, "fields", "Received and Delivered-To fields at which a message loops"
    )
    smtp_server_check_timeout: int = control(
        positive, 60, "seconds", "longest wait for one check; then the client gets 451"
    )
    smtp_server_stop_timeout: int = control(
        positive, 30, "seconds", "how long a stopping server waits for sessions to end"
    )
    smtp_server_connections_max: int = control(
        positive, 40, "sessions", "at a time on a listening server; more are told 421"
    )
    smtp_server_connections_per_address: int | None = control(
        number,
        None,
        "sessions",
        "the same from one client address; 0: no limit; unset: half of all, but for loopback",
    )
    smtp_server_connections_per_network: int | None = control(
        number,
        None,
        "sessions",
        "the same from one network, IPv4 /24 or IPv6 /64; 0: no limit; unset: half of all on IPv6",
    )
    smtp_server_rate_time: int = control(
        positive, 60, "seconds", "the time in which connections are counted for a rate"
    )
    smtp_server_rate_per_address: int = control(
        number, 0, "connections", "in that time from one client address; 0: no limit"
    )
    smtp_server_rate_per_network: int = control(
        number, 0, "connections", "in that time from one network, /24 or /64; 0: no limit"
    )
    smtp_server_session_timeout: int = control(
        positive, 7200, "seconds", "longest session as a whole; then the client gets 421"
    )
    smtp_server_messages_max: int = control(
        positive, 1000, "messages", "of one session; the next MAIL gets 421"
    )
    smtp_server_commands_max: int = control(
        positive, 50000, "commands", "of one session; the next one gets 421"
    )
    smtp_server_errors_max: int = control(
        positive, 1000, "replies", "of 4xx and 5xx in one session; then it ends with 421"
    )
    smtp_server_memory_max: int = control(
        number,
        67108864,
        "bytes",
        "held in memory for all sessions; beyond, message text goes to files at once",
    )
    smtp_server_spool_free: int = control(
        number, 16777216, "bytes", "to be left free on the file systems of spool and queue"
    )
    smtp_server_programs_max: int = control(
        number,
        20,
        "programs",
        "for the queue at a time, and as many for RCPTCHECK; more have to wait; 0: no limit",
    )
    smtp_server_tls_cert: tuple[str, ...] = control(
        names, (), "files", "certificates with their chains; empty: servercert.pem, if there is one"
    )
    smtp_server_tls_key: tuple[str, ...] = control(
        names, (), "files", "their keys in the same order; empty: in the certificate files"
    )
    smtp_server_tls_clientca: str = control(
        str, "", "file", "who signs client certificates; empty: clientca.pem, if there is one"
    )
    smtp_server_tls_clients: tuple[bytes, ...] = control(
        words, (), "addresses", "in client certificates whose holders may relay"
    )
    smtp_server_tls_handshakes_max: int = control(
        positive, 100, "handshakes", "under way at a time; then STARTTLS gets 454"
    )
    smtp_server_timeout_tls: int = control(
        positive, 60, "seconds", "for a TLS handshake as a whole"
    )
    smtp_server_auth_mechanisms: tuple[str, ...] = control(
        some_of("plain", "login", "cram-md5", "scram-sha-256"),
        (),
        "names",
        "offered by AUTH; empty: all that the password check can do",
    )
    smtp_server_auth_insecure: bool = control(
        switch, False, "on/off", "offer AUTH without TLS as well"
    )
    smtp_server_auth_tries: int = control(
        positive, 3, "failures", "of AUTH in one session; then it ends with 421"
    )
    smtp_server_auth_delay: int = control(
        number, 2, "seconds", "from an AUTH to its refusal, at least"
    )
    smtp_server_auth_failures_max: int = control(
        number, 20, "failures", "of AUTH from one client address in a time; 0: no limit"
    )
    smtp_server_auth_failures_time: int = control(
        positive, 600, "seconds", "that time; while it lasts, AUTH gets 454"
    )
    smtp_server_sender_map: str = control(
        str, "", "file", "senders that belong to each user, for submission"
    )
    smtp_server_smtputf8: bool | None = control(
        switch, None, "on/off", "offer SMTPUTF8; unset: if the queue is known to carry it"
    )
    smtp_server_proxy_networks: tuple[Network, ...] = control(
        networks, (), "networks", "of proxies, whose connections begin with a PROXY header"
    )
    smtp_server_xclient_networks: tuple[Network, ...] = control(
        networks, (), "networks", "of clients that may speak for others by XCLIENT"
    )
    smtp_server_handoff_users: tuple[int, ...] = control(
        users,
        (),
        "users",
        "that may hand over connections, besides root and the server's own; names or numbers",
    )
    smtp_server_greet_delay: int = control(
        number, 0, "seconds", "before the greeting; who speaks earlier gets 554; 0: no delay"
    )
    smtp_server_require_tls: bool = control(switch, False, "on/off", "refuse MAIL without TLS")
    smtp_server_require_helo: bool = control(
        switch, False, "on/off", "refuse MAIL before HELO or EHLO"
    )
    smtp_server_require_fqdn: tuple[str, ...] = control(
        some_of("helo", "sender", "recipient"),
        (),
        "names",
        "of helo, sender, recipient: those that must have a full domain name",
    )
    smtp_server_sender_domain: bool = control(
        switch, False, "on/off", "refuse senders whose domain the DNS does not have"
    )
    smtp_server_dnsbl: tuple[DnsList, ...] = control(
        dns_lists, (), "zones", "DNS lists of client addresses, as ZONE[=ANSWER][*SCORE]"
    )
    smtp_server_dnswl: tuple[DnsList, ...] = control(
        dns_lists, (), "zones", "the same for good clients; their scores are taken off"
    )
    smtp_server_rhsbl: tuple[DnsList, ...] = control(
        dns_lists, (), "zones", "the same for domains of HELO names and senders"
    )
    smtp_server_dns_score: int = control(
        positive, 1, "points", "from lists at which a client is refused"
    )
    smtp_server_dns: str = control(
        dns_server, "", "endpoint", "ADDRESS[:PORT] of the DNS server to ask; empty: the system's"
    )
    smtp_server_mfl_steps: int = control(
        positive, 200000, "steps", "of one hook of the startup file"
    )
    smtp_server_mfl_depth: int = control(
        positive, 60, "calls", "of functions within each other in a hook"
    )
    smtp_server_mfl_memory: int = control(
        positive, 32000000, "bytes", "of all strings that a hook makes or searches"
    )
    smtp_server_mfl_seconds: int = control(positive, 30, "seconds", "for a hook, look-ups included")
    smtp_server_mfl_sieve: tuple[bytes, ...] = control(
        assignments,
        (),
        "lines",
        "NAME=VALUE for extensions of Sieve, as sieve_spamtest_status_header=X-Spam-Score",
    )
    smtp_server_assess_required: bool = control(
        switch, False, "on/off", "put clients off while the server of --assess does not answer"
    )
    smtp_server_assess_timeout: int = control(
        positive, 10, "seconds", "longest wait for its answer; at most a third of that for a check"
    )
    smtp_server_assess_connections: int = control(
        positive, 20, "connections", "to it, each with one question under way; further ones wait"
    )
    smtp_server_assess_stages: tuple[str, ...] = control(
        some_of("connect", "helo", "mail", "rcpt", "data", "message"),
        (),
        "names",
        "at which it is asked; empty: all for mvmcas, rcpt for other policy servers",
    )
    smtp_server_rcpt_domains: tuple[bytes, ...] = control(
        words, (), "domains", "taken mail for, as well as rcpthosts; .name: all below name"
    )
    smtp_server_validrcptto: str = control(
        str, "", "file", "cdb or text file of the recipients that exist, in the control folder"
    )
    smtp_server_rcpt_users: bool = control(
        switch,
        False,
        "on/off",
        "refuse recipients with neither a user nor a .qmail file",
    )
    smtp_server_rcptcheck: str = control(
        str, "", "program", "asked about every recipient; RCPTCHECK of a connection comes first"
    )
