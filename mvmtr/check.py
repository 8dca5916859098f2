# -*- test-case-name: mvmtr.test.test_check -*-
"""
C{mvmtr check}: reads a configuration as the server would, and prints what came of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from twisted.internet.task import Clock

from mvmtr.assemble import CONTROL_DIR, Assembly, ConfigurationError, inherited
from mvmtr.compat.advice import about_badmailfrom, about_rcpthosts, stale
from mvmtr.compat.badmailfrom import BadMailFrom
from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.rcpthosts import RcptHosts
from mvmtr.explain import NoQueue
from mvmtr.log import text_of
from mvmtr.options import ConfigurationOptions
from mvmtr.protocol.server import endpoint_of
from mvmtr.protocol.tls import CertificateError
from mvmtr.queue import QueueError, problem_with
from mvmtr.session import Connection
from mvmtr.settings import Settings


class Options(ConfigurationOptions):
    """The options of C{mvmtr check}."""

    synopsis = "Usage: mvmtr check [options of twistd mvmtr]"


def controls(settings: Settings) -> Iterator[str]:
    """Every control, its value, its unit, and where it came from."""
    for control in Settings.controls():
        shown = _shown(getattr(settings, control.name))
        yield f"{control.name:38} {shown:24} {control.unit:9} {settings.origin(control.name)}"


def _shown(value: object) -> str:
    if value in (None, "", b"", ()):
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(text_of(part) for part in value)
    return text_of(value)


def checks(assembly: Assembly) -> Iterator[str]:
    """Every check in the order in which they are asked, and at which stages."""
    for check in assembly.configuration.policy.checks:
        stages = ", ".join(sorted(check.stages))
        size = ""
        if isinstance(check, RcptHosts) and check.hosts is not None:
            size = f"{len(check.hosts)} domains" + (", morercpthosts.cdb" if check.more else "")
        elif isinstance(check, BadMailFrom):
            size = f"{len(check.senders)} senders"
        yield f"{check.name:38} at {stages:21} {size}".rstrip()


def warnings(options: Options, assembly: Assembly) -> Iterator[str]:
    """What was read and is probably not meant."""
    if options.missing_control_dir is not None:
        yield f"{options.missing_control_dir} does not exist: no qmail compatibility"
        if not assembly.configuration.settings.smtp_server_rcpt_domains:
            yield "no recipient is accepted: neither rcpthosts nor smtp_server_rcpt_domains"
    yield from assembly.warnings
    yield from options.warnings()
    yield from _about_auth(options, assembly)
    for check in assembly.configuration.policy.checks:
        if isinstance(check, RcptHosts):
            yield from about_rcpthosts(check)
        elif isinstance(check, BadMailFrom):
            yield from about_badmailfrom(check)
    yield from _about_proxies(assembly)
    if assembly.rules is not None:
        path = assembly.rules.path
        for rule in assembly.rules.rules():
            if rule.variables.get(b"RELAYCLIENT"):
                key = rule.key.decode("utf-8", "backslashreplace")
                yield f"{path}: rule {key!r}: RELAYCLIENT's value is not appended to recipients"
        if path.endswith(".cdb"):
            yield from stale(path.removesuffix(".cdb"), path, "run tcprules")


def _about_proxies(assembly: Assembly) -> Iterator[str]:
    settings = assembly.configuration.settings
    for name in ("smtp_server_proxy_networks", "smtp_server_xclient_networks"):
        for network in getattr(settings, name):
            if not network.prefixlen:
                yield f"{name}: with {network} everybody can say that he is somebody else"
    for network in settings.smtp_server_proxy_networks:
        proxy = Connection(remote_ip=str(network.network_address).encode())
        if b"RELAYCLIENT" in assembly.ruled(proxy).environment:
            yield f"the rules let the proxy {network} relay, and with it whom it does not name"


def _about_auth(options: Options, assembly: Assembly) -> Iterator[str]:
    settings = assembly.configuration.settings
    in_clear = assembly.configuration.tls is None
    if options["auth"] and in_clear and not settings.smtp_server_auth_insecure:
        yield "AUTH is not offered: there is no certificate, and smtp_server_auth_insecure is off"


def _bad_endpoints(descriptions: list[str], has_tls: bool) -> Iterator[str]:
    from twisted.internet import reactor

    for description in descriptions:
        try:
            _endpoint, secure = endpoint_of(reactor, description)
        except Exception as error:
            yield f"--listen={description}: {error}"
        else:
            if secure and not has_tls:
                yield f"--listen={description}: there is no certificate"


def _certificates(assembly: Assembly) -> tuple[list[str], list[str]]:
    """
    What certificates there are, and what is wrong with them.

    @raise CertificateError: when they can't be used.
    """
    certificates = assembly.configuration.tls
    settings = assembly.configuration.settings
    if certificates is None:
        none = "smtp_server_require_tls is on, but there is no certificate"
        return [], [none] if settings.smtp_server_require_tls else []
    from mvmtr import certificate_advice

    contexts = certificates.load()
    warnings = certificate_advice.warnings(certificates, settings)
    return list(certificate_advice.described(contexts)), list(warnings)


def main(arguments: list[str]) -> int:
    """
    Run C{mvmtr check}.

    @return: the exit status, 1 when the configuration has errors.
    """
    options = Options()
    options.parseOptions(arguments)
    errors = []
    has_tls = True
    try:
        assembly = Assembly(options.sources(), Clock(), NoQueue())
        found = list(warnings(options, assembly))
        has_tls = assembly.configuration.tls is not None
        certificates, about_certificates = _certificates(assembly)
    except ConfigurationError as error:
        errors += str(error).split("; ")
    except (ControlError, CertificateError) as error:
        errors.append(str(error))
    else:
        settings = assembly.for_connection(Connection(environment=inherited())).settings
        print("Controls:", *controls(settings), sep="\n  ")
        print("Checks, in their order:", *checks(assembly), sep="\n  ")
        print(f"Queue:\n  {options['queue']}")
        if certificates:
            print("Certificates:", *certificates, sep="\n  ")
        for warning in (*found, *about_certificates):
            print(f"warning: {warning}")
    try:
        home = os.path.dirname(options["control-dir"] or CONTROL_DIR)
        problem = problem_with(options["queue"], home)
        if problem is not None and not errors:
            print(f"warning: {problem}")
    except QueueError as error:
        errors.append(str(error))
    errors += _bad_endpoints(options["listen"], has_tls)
    for message in errors:
        print(f"error: {message}")
    return 1 if errors else 0
