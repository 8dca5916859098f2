# -*- test-case-name: mvmtr.test.test_assess_activity -*-
"""What clients have done lately, for the postmaster to look at. Pure, and in memory only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from heapq import nlargest
from math import log

from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Question, client_of

CLIENTS_MAX = 10_000
"""Clients that are remembered; beyond, those that were silent for longest go."""

HALF_LIFE = 60
"""Seconds after which a question counts half in a rate."""

REASON_MAX = 200
"""Characters of a reason."""

ORDERS = ("rate", "asked", "put_off", "refused", "at")
"""By what clients can be sorted: names of attributes of L{Client}."""


@dataclass
class Client:
    """
    @ivar client: its address, or its network where that is one client.
    @ivar asked: questions about it.
    @ivar put_off: hints to answer 4xx.
    @ivar refused: hints to answer 5xx.
    @ivar rate: questions, each counting half after L{HALF_LIFE}, at the time C{at}.
    @ivar reason: of the last hint that had one.
    """

    client: str
    name: str = ""
    asked: int = 0
    put_off: int = 0
    refused: int = 0
    rate: float = 0.0
    at: float = 0.0
    reason: str = ""

    def count(self, now: float) -> None:
        """One more question."""
        self.rate = self._left(now) + 1
        self.asked += 1
        self.at = now

    def per_minute(self, now: float) -> float:
        """Questions in a minute, as of late."""
        return self._left(now) * log(2) * 60 / HALF_LIFE

    def _left(self, now: float) -> float:
        age = max(0.0, now - self.at)
        return float(self.rate * 0.5 ** (age / HALF_LIFE))


class Activity:
    """
    A table of clients.

    @ivar total: all questions together.
    """

    def __init__(self) -> None:
        self.total = Client("all")
        self._clients: OrderedDict[str, Client] = OrderedDict()

    def __len__(self) -> int:
        return len(self._clients)

    def note(self, question: Question, hint: Hint, now: float) -> None:
        """A question was answered."""
        address = _text(client_of(question.client)) or "unknown"
        client = self._clients.setdefault(address, Client(address))
        self._clients.move_to_end(address)
        if len(self._clients) > CLIENTS_MAX:
            self._clients.popitem(last=False)
        if question.client_name:
            client.name = _text(question.client_name)
        if hint.reason:
            client.reason = hint.reason[:REASON_MAX]
        for one in (client, self.total):
            one.count(now)
            one.put_off += 400 <= hint.code < 500
            one.refused += hint.code >= 500

    def first(self, number: int, order: str, now: float) -> list[Client]:
        """
        The clients that have most of something.

        @param order: one of L{ORDERS}.
        """

        def rank(client: Client) -> float:
            return client.per_minute(now) if order == "rate" else float(getattr(client, order))

        return nlargest(number, self._clients.values(), key=rank)


def _text(value: bytes) -> str:
    return value[:255].decode("utf-8", "backslashreplace")
