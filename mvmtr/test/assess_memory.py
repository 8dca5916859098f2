"""One assessor, or an engine, with a memory and a clock that is set by hand."""

from __future__ import annotations

from typing import Any

from mvmtr.assess.hint import Hint
from mvmtr.assess.question import Feedback, Question
from mvmtr.assess.records import Changes, Record

BEGIN = 1_800_000_000.0


class Memory:
    """
    Keeps records as a store would, and gives no others than those that are asked for.

    @ivar now: the time; set it.
    """

    def __init__(self, assessor: Any) -> None:
        self.assessor = assessor
        self.records: dict[str, Record] = {}
        self.now = BEGIN

    def _found(self, keys: list[str]) -> dict[str, Record]:
        self.records = {k: one for k, one in self.records.items() if not one.is_over(self.now)}
        return {key: self.records[key] for key in keys if key in self.records}

    def _keep(self, keys: list[str], changes: Changes) -> None:
        assert set(changes) <= set(keys), f"{changes} changes what was not asked for: {keys}"
        for key, change in changes.items():
            self.records.pop(key, None)
            if change is not None:
                # As a store has it, which knows no more than the text.
                self.records[key] = Record.read(change.written())

    def ask(self, question: Question) -> Hint | None:
        """Ask the assessor, or the engine; the hint."""
        keys = self.assessor.keys(question)
        found = self._found(keys)
        if hasattr(self.assessor, "more_rules"):
            hint, changes = self.assessor.assess(
                question, {**found, **self.assessor.more_rules(question, self.now)}, self.now
            )
        else:
            opinion = self.assessor.assess(question, found, self.now)
            hint, changes = opinion.hint, opinion.changes
        self._keep(keys, changes)
        return hint

    def tell(self, feedback: Feedback) -> None:
        """Feedback."""
        keys = self.assessor.feedback_keys(feedback)
        self._keep(keys, self.assessor.learn(feedback, self._found(keys), self.now))
