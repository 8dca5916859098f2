# -*- test-case-name: mvmtr.test.test_assess_link -*-
"""
What C{--assess} names: a policy server, or an engine in this process. One for all sessions,
however often the configuration is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from typing import Protocol as Typed

from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from mvmtr.assess.client import PolicyClient, Unavailable
from mvmtr.assess.hint import Hint, hint_of
from mvmtr.assess.question import feedback_of, question_of
from mvmtr.assess.settings import AssessSettings
from mvmtr.assess.stores import StoreError, store_from_string
from mvmtr.assess.wire import Attributes
from mvmtr.values import SettingError

if TYPE_CHECKING:
    from mvmtr.assess.service import Assessment

log = Logger()

T = TypeVar("T")

KINDS = "tcp:HOST:PORT, unix:/path or local"

STORE = "sqlite:/var/lib/mvmcas.db"
"""Where C{local} remembers, unless it is told."""

CLOSE_TIMEOUT = 5
"""Seconds that is waited for until all was told."""

QUIET = 60
"""Seconds from one complaint about questions without an answer to the next."""


class NoAnswer(Exception):
    """A question has no answer; the text says why."""


class Assessor(Typed):
    """
    Whoever knows hints.

    @ivar is_mvmcas: whether it understands more than Postfix's questions; C{None} when that
        is not known yet.
    """

    is_mvmcas: bool | None

    async def hint(self, attributes: Attributes, timeout: float) -> Hint:
        """Raises L{Unavailable}, L{StoreError} or C{ValueError} when there is none."""

    async def tell(self, attributes: Attributes, timeout: float) -> None:
        """Feedback; the same errors."""

    async def open(self) -> None:
        """Make ready; raises L{StoreError}."""

    async def close(self) -> None:
        """Let go of everything."""


class RemoteAssessor:
    """A policy server."""

    def __init__(self, client: PolicyClient) -> None:
        self.is_mvmcas: bool | None = None
        self.client = client

    async def hint(self, attributes: Attributes, timeout: float) -> Hint:
        """See L{Assessor}."""
        reply = await self.client.ask(attributes, timeout)
        self.is_mvmcas = b"mvmcas_version" in reply
        return hint_of(reply)

    async def tell(self, attributes: Attributes, timeout: float) -> None:
        """See L{Assessor}."""
        await self.client.ask(attributes, timeout)

    async def open(self) -> None:
        """Connections are opened when they are needed."""

    async def close(self) -> None:
        """See L{Assessor}."""
        self.client.close()


class LocalAssessor:
    """An engine in this process."""

    is_mvmcas: bool | None = True

    def __init__(self, assessment: Assessment, reactor: Any) -> None:
        self._assessment = assessment
        self._reactor = reactor

    async def hint(self, attributes: Attributes, timeout: float) -> Hint:
        """See L{Assessor}."""
        return await self._timely(self._assessment.ask(question_of(attributes)), timeout)

    async def tell(self, attributes: Attributes, timeout: float) -> None:
        """See L{Assessor}."""
        await self._timely(self._assessment.tell(feedback_of(attributes)), timeout)

    async def _timely(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        try:
            return await Deferred.fromCoroutine(work).addTimeout(timeout, self._reactor)
        except TimeoutError:
            raise Unavailable(f"no answer within {timeout:g} s") from None

    async def open(self) -> None:
        """See L{Assessor}. What can't be opened now is tried again from time to time."""
        try:
            await self._assessment.open()
        finally:
            if not self._assessment.running:
                self._assessment.startService()

    async def close(self) -> None:
        """See L{Assessor}."""
        if self._assessment.running:
            await self._assessment.stopService()


class Link:
    """
    The way to an assessor, which is made at the first use.

    @param description: one of L{KINDS}.
    @param store: where a local one remembers.
    @param assignments: controls of a local one, by name, as text.
    @param control_dir: a folder with lists for a local one.
    @ivar is_dry: nothing is to be remembered of what is asked.
    @ivar unanswered: how many questions had no answer.
    @raise SettingError: when something of this can't be.
    """

    def __init__(
        self,
        description: str,
        store: str = STORE,
        assignments: Mapping[str, str] | None = None,
        control_dir: str | None = None,
    ) -> None:
        self.is_dry = False
        self.unanswered = 0
        self.name = f"local, {store}" if description == "local" else description
        self._store = store
        self._control_dir = control_dir
        self._assessor: Assessor | None = None
        self._client: PolicyClient | None = None
        self._since: float | None = None
        self._quiet_until = 0.0
        self._telling: set[Deferred[None]] = set()
        self._is_local = description == "local"
        if not (self._is_local or description.startswith(("tcp:", "unix:"))):
            raise SettingError(f"--assess={description}: is none of {KINDS}")
        if description.startswith("unix:") and not description.startswith("unix:path="):
            # The folder may be another one by and by.
            description = "unix:" + os.path.abspath(description[5:])
        self._description = description
        given = assignments or {}
        values = {name: AssessSettings.parse(name, text) for name, text in given.items()}
        self._settings = AssessSettings().with_(values, dict.fromkeys(values, "command line"))

    def connect(self, reactor: Any, connections_max: int) -> None:
        """
        Make the assessor, unless there is one.

        @param connections_max: connections to a server.
        @raise SettingError: when it can't be made.
        """
        if self._assessor is None:
            self._reactor = reactor
            self._assessor = self._local(reactor) if self._is_local else self._remote(reactor)
        if self._client is not None:
            self._client.connections_max = connections_max

    def _remote(self, reactor: Any) -> Assessor:
        try:
            self._client = PolicyClient(self._description, reactor)
        except Exception as error:
            # Whatever the parser of endpoints makes of it.
            why = " ".join(str(error).split())
            raise SettingError(f"--assess={self._description}: {why}") from error
        return RemoteAssessor(self._client)

    def _local(self, reactor: Any) -> Assessor:
        from mvmtr.assess.engine import Engine
        from mvmtr.assess.rulefiles import RuleFiles
        from mvmtr.assess.service import Assessment

        store = self._store
        if self.is_dry and store.startswith("sqlite:") and not os.path.exists(store[7:]):
            store = "memory:"
        files = {} if self._control_dir is None else {"more_rules": RuleFiles(self._control_dir)}
        try:
            made = store_from_string(store, reactor, self._settings.records_max)
        except StoreError as error:
            raise SettingError(f"--assess-store: {error}") from error
        return LocalAssessor(Assessment(Engine(self._settings, **files), made, reactor), reactor)

    @property
    def is_mvmcas(self) -> bool | None:
        """See L{Assessor}."""
        return None if self._assessor is None else self._assessor.is_mvmcas

    async def open(self) -> None:
        """
        Make ready.

        @raise StoreError: when the store of a local one can't be opened.
        """
        if self._assessor is not None:
            await self._assessor.open()

    async def close(self) -> None:
        """Let go of everything, when all was told, or after a while."""
        telling = DeferredList(list(self._telling))
        with suppress(TimeoutError):
            await telling.addTimeout(CLOSE_TIMEOUT, self._reactor)
        if self._assessor is not None:
            await self._assessor.close()

    def try_store(self) -> None:
        """
        Open and close the file of a local assessor.

        @raise SettingError: when that can't be.
        """
        if not self._is_local or not self._store.startswith("sqlite:"):
            return
        store = store_from_string(self._store, self._reactor)
        failed: list[Failure] = []
        Deferred.fromCoroutine(store.open()).addErrback(failed.append)
        if failed:
            raise SettingError(f"--assess-store: {failed[0].getErrorMessage()}")
        Deferred.fromCoroutine(store.close())

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for but L{close}."""
        doing = Deferred.fromCoroutine(work)
        self._telling.add(doing)
        doing.addErrback(lambda failure: failure.trap(CancelledError))
        doing.addErrback(lambda failure: log.failure("feedback failed", failure))
        doing.addCallback(lambda _none: self._telling.discard(doing))

    async def hint(self, attributes: Attributes, timeout: float) -> Hint:
        """
        Ask for a hint.

        @raise NoAnswer: when there is none; the log and L{unanswered} know of it.
        """
        if self.is_dry:
            attributes = {**attributes, b"mvmcas_dry": b"yes"}
        return await self._tried(lambda assessor: assessor.hint(attributes, timeout))

    async def tell(self, attributes: Attributes, timeout: float) -> None:
        """
        Tell what a client did.

        @raise NoAnswer: when nobody listens; the log and L{unanswered} know of it.
        """
        await self._tried(lambda assessor: assessor.tell(attributes, timeout))

    async def _tried(self, ask: Callable[[Assessor], Coroutine[Any, Any, T]]) -> T:
        assert self._assessor is not None
        try:
            answer = await ask(self._assessor)
        except (Unavailable, StoreError, ValueError) as error:
            self._complain(str(error))
            raise NoAnswer(str(error)) from error
        if self._since is not None:
            away = self._reactor.seconds() - self._since
            self._since = None
            self._quiet_until = 0.0
            log.info("{name} answers again, after {away:.0f} s", name=self.name, away=away)
        return answer

    def _complain(self, error: str) -> None:
        self.unanswered += 1
        now = self._reactor.seconds()
        if self._since is None:
            self._since = now
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            log.error(
                "no answer from {name} ({number} so far): {error}",
                name=self.name,
                number=self.unanswered,
                error=error,
            )
