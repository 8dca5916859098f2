# -*- test-case-name: mvmtr.test.test_mfl_checker -*-
"""What functions do through those that they call: what they need, and whether they wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mvmtr.mfl.errors import Place, Problem
from mvmtr.mfl.scope import Facts, FunctionInfo
from mvmtr.mfl.signatures import HOOKS
from mvmtr.mfl.specs import Needs

_NAMES = {
    Needs.SESSION: "a session",
    Needs.TRANSACTION: "a sender and recipients",
    Needs.MESSAGE: "the message",
}


def reached(facts: Facts, start: FunctionInfo) -> Iterator[FunctionInfo]:
    """A function and all that it calls, directly or not."""
    seen = {start.name}
    waiting = [start]
    while waiting:
        function = waiting.pop()
        yield function
        for name in function.calls:
            callee = facts.functions.get(name)
            if callee is not None and name not in seen:
                seen.add(name)
                waiting.append(callee)


def find_waiting(facts: Facts) -> None:
    """Those that call one that waits, wait."""
    changed = True
    while changed:
        changed = False
        for function in facts.functions.values():
            if not function.waits:
                calls = (facts.functions.get(name) for name in function.calls)
                function.waits = any(callee and callee.waits for callee in calls)
                changed = changed or function.waits


def check_demands(
    facts: Facts, start: FunctionInfo, problem: Callable[[str, Place], Problem]
) -> list[Problem]:
    """
    What is used before it is there.

    @param start: what runs when the file is read.
    @param problem: makes a problem.
    """
    find_waiting(facts)
    found = []
    hooks = [function for function in facts.functions.values() if function.name in HOOKS]
    for root in (start, *hooks):
        there = HOOKS[root.name][1] if root.name in HOOKS else Needs.NOTHING
        when = f"{root.name}() runs before that is there"
        if root is start:
            when = "this runs when the file is read"
        for function in reached(facts, root):
            for demand in function.demands:
                if demand.needs > there:
                    message = f"{demand.what} needs {_NAMES[demand.needs]}, but {when}"
                    found.append(problem(message, demand.place))
    return found
