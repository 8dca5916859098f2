# -*- test-case-name: mvmtr.test.test_mfl_runtime -*-
"""What compiled code calls for operators that Python does not have in this form."""

from __future__ import annotations

from typing import Any, NoReturn

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.patterns import pattern, work
from mvmtr.mfl.runtime import Run

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_SHORT = 256
_COMPILING = 100


def overflow() -> NoReturn:
    raise RunError("the result does not fit into 64 bits")


def checked(value: int) -> int:
    """The same number.

    @raise RunError: when it does not fit.
    """
    return value if INT_MIN <= value <= INT_MAX else overflow()


def divide(left: int, right: int) -> int:
    """As in C: towards zero."""
    if right == 0:
        raise RunError("division by zero")
    quotient = abs(left) // abs(right)
    return checked(quotient if (left < 0) == (right < 0) else -quotient)


def remainder(left: int, right: int) -> int:
    """As in C: the sign is that of the left."""
    if right == 0:
        raise RunError("division by zero")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def shift_left(left: int, right: int) -> int:
    if not 0 <= right < 64:
        raise RunError(f"a shift by {right} bits")
    return checked(left << right)


def shift_right(left: int, right: int) -> int:
    if not 0 <= right < 64:
        raise RunError(f"a shift by {right} bits")
    return left >> right


def store(values: list[Any], number: int, value: Any) -> Any:
    """Set a global variable."""
    values[number] = value
    return value


def item(of: Any, index: int) -> bytes:
    """An item of a list, or a byte of a string."""
    if not 0 <= index < len(of):
        last = f"the last is {len(of) - 1}" if of else "there are none"
        raise RunError(f"there is no item {index}; {last}")
    found: bytes = of[index] if isinstance(of, tuple) else of[index : index + 1]
    return found


def replaced(run: Run, items: tuple[bytes, ...], index: int, value: bytes) -> tuple[bytes, ...]:
    """A list with another item in one place."""
    item(items, index)
    return run.made_list((*items[:index], value, *items[index + 1 :]))


def same(run: Run, left: Any, right: Any) -> bool:
    """Whether two strings or two lists are equal."""
    if len(left) != len(right):
        return False
    if isinstance(left, tuple):
        run.step(len(left) + sum(map(len, left)) // _SHORT)
    elif len(left) > _SHORT:
        run.use(len(left))
    return bool(left == right)


def order(run: Run, left: bytes, right: bytes) -> int:
    """Below, at or above zero, as the left comes before, is, or comes after the right."""
    shorter = min(len(left), len(right))
    if shorter > _SHORT:
        run.use(shorter)
    return (left > right) - (left < right)


def contains(run: Run, value: bytes, items: tuple[bytes, ...]) -> bool:
    run.step(len(items) >> 3)
    if len(value) > _SHORT:
        run.use(len(value) * items.count(value))
    return value in items


def search(run: Run, compiled: Any, text: bytes) -> Any:
    """What a pattern finds, or C{None}."""
    run.use(len(text))
    run.step(work(compiled, text))
    return compiled.search(text)


def matches(run: Run, compiled: Any, text: bytes) -> bool:
    return search(run, compiled, text) is not None


def compiled(run: Run, text: bytes) -> Any:
    """The pattern of a text that is known only now; the first time costs the most."""
    known = run.state.setdefault("patterns", {})
    found = known.get(text)
    if found is None:
        run.step(_COMPILING)
        try:
            found = known[text] = pattern(text)
        except ValueError as error:
            raise RunError(str(error)) from None
        run.step(found.programsize >> 2)
    return found


def capture(run: Run, number: int) -> bytes:
    """C{${number}} of the last match."""
    captures = run.captures
    return captures[number] if number < len(captures) else b""
