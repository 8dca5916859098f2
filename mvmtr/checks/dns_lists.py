# -*- test-case-name: mvmtr.test.test_dns_lists -*-
"""Lists of good and bad clients and domains in the DNS (RFC 5782), each with its score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.names import dns
from twisted.names.error import DNSNameError
from zope.interface import implementer

from mvmtr.addresses import domain_of
from mvmtr.domains import NAME_MAX, address_of, dns_name, is_full, listed_name
from mvmtr.interfaces import ICheck
from mvmtr.resolver import trouble
from mvmtr.session import Reject, Session, Stage, Transaction, Verdict
from mvmtr.settings import Settings
from mvmtr.values import DnsList, means_listed

log = Logger()

PATIENCE = 10
"""Seconds that lists have to answer; one that takes longer has no say."""

TEXT_PATIENCE = 3
"""The same for the text that goes with an answer."""

TEXT_MAX = 200
"""Characters of a list's text that are told."""


@dataclass(frozen=True)
class Question:
    """
    A list, and what is looked for on it.

    @ivar subject: what that is, for people.
    @ivar label: how it stands in front of the zone.
    @ivar sign: -1 for a list of good ones.
    """

    entry: DnsList
    subject: str
    label: str
    sign: int = 1

    @property
    def name(self) -> str:
        """The name to ask the DNS about."""
        return f"{self.label}.{self.entry.zone}"

    @property
    def points(self) -> int:
        """What it counts to be on this list."""
        return -abs(self.entry.score) if self.sign < 0 else self.entry.score


class Findings:
    """
    What lists said about a client or about some domains.

    @ivar listed: the questions with the answer yes, once they are answered.
    """

    def __init__(self) -> None:
        self.listed: list[Question] = []
        self._known = False
        self._waiting: list[Deferred[None]] = []

    def known(self, listed: list[Question]) -> None:
        """All lists have answered, or have had the time to."""
        self.listed, self._known = listed, True
        for waiting in self._waiting:
            waiting.callback(None)
        self._waiting = []

    def wait(self) -> Deferred[None]:
        """Wait until they have; to cancel that leaves the lists alone."""
        if self._known:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]


@implementer(ICheck)
class DnsLists:
    """
    Refuses recipients when the lists that the client's address, its HELO name and the
    sender's domain are on have a score of C{smtp_server_dns_score} or more in all.

    Address lists are asked when the client connects, and nobody waits for them before RCPT.
    Domain lists are asked at the first RCPT, so that no more questions are open than there
    are sessions that wait. Clients that may relay are left alone. A list that does not
    answer has no say.

    @param resolver: an L{IResolver<twisted.internet.interfaces.IResolver>}.
    """

    name = "dns_lists"
    stages = frozenset({Stage.CONNECT, Stage.RCPT})

    def __init__(self, settings: Settings, resolver: Any, reactor: Any) -> None:
        self._bad = settings.smtp_server_dnsbl
        self._good = settings.smtp_server_dnswl
        self._domains = settings.smtp_server_rhsbl
        self._limit = settings.smtp_server_dns_score
        # Both together stay below the time limit of a check.
        self._patience = min(PATIENCE, settings.smtp_server_check_timeout / 2)
        self._text_patience = min(TEXT_PATIENCE, settings.smtp_server_check_timeout / 4)
        self._resolver = resolver
        self._reactor = reactor
        self._of_address: WeakKeyDictionary[Session, Findings] = WeakKeyDictionary()
        self._verdicts: WeakKeyDictionary[Transaction, Verdict | None] = WeakKeyDictionary()

    def check(self, session: Session, stage: Stage, argument: bytes) -> Any:
        """See L{ICheck}."""
        if session.relay or session.user is not None:
            return None
        if stage is Stage.CONNECT:
            self._of_address[session] = self._ask(session, list(self._about_address(session)))
            return None
        transaction = session.transaction
        assert transaction is not None
        if transaction in self._verdicts:
            return self._verdicts[transaction]
        return self._decide(session, transaction)

    def _about_address(self, session: Session) -> Iterator[Question]:
        address = address_of(session.connection.remote_ip or b"")
        if address is None:
            return
        label = listed_name(address)
        for entry in self._bad:
            yield Question(entry, str(address), label)
        for entry in self._good:
            yield Question(entry, str(address), label, -1)

    def _about_domains(self, session: Session, sender: bytes) -> Iterator[Question]:
        given = (session.helo or b"", domain_of(sender) or b"")
        found = (dns_name(domain) for domain in given if is_full(domain))
        names = dict.fromkeys(name.decode("ascii") for name in found if name is not None)
        for entry in self._domains:
            for name in names:
                if len(name) + 1 + len(entry.zone) <= NAME_MAX:
                    yield Question(entry, name, name)

    # Asking

    def _ask(self, session: Session, questions: list[Question]) -> Findings:
        """Ask all lists at once, each name once."""
        findings = Findings()
        Deferred.fromCoroutine(self._fill(session, questions, findings)).addErrback(
            lambda failure: log.failure("asking lists failed", failure)
        )
        return findings

    async def _fill(self, session: Session, questions: list[Question], found: Findings) -> None:
        troubles: list[str] = []
        by_name: dict[str, list[Question]] = {}
        for question in questions:
            by_name.setdefault(question.name, []).append(question)
        try:
            asking = [self._listed(same, troubles) for same in by_name.values()]
            answered = await gatherResults([Deferred.fromCoroutine(one) for one in asking])
            yes = {question for some in answered for question in some}
            listed = list(_once(question for question in questions if question in yes))
        except BaseException:
            found.known([])
            raise
        if troubles:
            log.warn(
                "session {session}: no say for {troubles}",
                session=session.id,
                troubles=", ".join(troubles),
            )
        found.known(listed)

    async def _listed(self, same: list[Question], troubles: list[str]) -> list[Question]:
        """Those of some questions for the same name that have the answer yes."""
        first = same[0]
        try:
            asked = self._resolver.lookupAddress(first.name.encode("ascii"))
            answers, _, _ = await asked.addTimeout(self._patience, self._reactor)
        except DNSNameError:
            return []
        except Exception as error:
            troubles.append(f"{first.entry.label} ({trouble(error)})")
            return []
        found = [IPv4Address(one.payload.dottedQuad()) for one in answers if one.type == dns.A]
        listed = [question for question in same if any(map(question.entry.counts, found))]
        if not listed:
            strange = (str(answer) for answer in found if not means_listed(answer))
            troubles += [f"{first.entry.label} (it answers {answer})" for answer in strange]
        return listed

    async def _text(self, name: str) -> str:
        """Why it is listed, as the list says; empty when it says nothing."""
        try:
            asked = self._resolver.lookupText(name.encode("ascii"))
            answers, _, _ = await asked.addTimeout(self._text_patience, self._reactor)
        except Exception:
            return ""
        texts = [b"".join(one.payload.data) for one in answers if one.type == dns.TXT]
        return b" ".join(texts).decode("utf-8", "replace")[:TEXT_MAX]

    # Deciding

    async def _decide(self, session: Session, transaction: Transaction) -> Verdict | None:
        about = list(self._about_domains(session, transaction.reverse_path))
        listed: list[Question] = []
        for findings in (self._ask(session, about), self._of_address.get(session)):
            if findings is not None:
                await findings.wait()
                listed += findings.listed
        score = sum(question.points for question in listed)
        verdict = None
        if score >= self._limit:
            verdict = await self._refusal(score, listed)
        elif listed:
            log.info(
                "session {session}: {score} of {limit} points, from {lists}",
                session=session.id,
                score=score,
                limit=self._limit,
                lists=_named(listed),
            )
        self._verdicts[transaction] = verdict
        return verdict

    async def _refusal(self, score: int, listed: list[Question]) -> Verdict:
        """The list with most points is the one that the client is told about."""
        worst = max(listed, key=lambda question: question.points)
        text = await self._text(worst.name)
        told = f"5.7.1 {worst.subject} is on the list {worst.entry.label}"
        reason = f"{score} of {self._limit} points, from {_named(listed)}"
        if text:
            told, reason = f"{told}: {text}", f"{reason}: {text}"
        return Reject(554, told, reason=reason)


def _once(questions: Iterable[Question]) -> Iterator[Question]:
    """A list counts once, whatever number of names are on it."""
    seen = set()
    for question in questions:
        key = question.entry, question.sign
        if key not in seen:
            seen.add(key)
            yield question


def _named(questions: Iterable[Question]) -> str:
    return ", ".join(
        f"{question.entry.label} ({question.points:+d} for {question.subject})"
        for question in questions
    )
