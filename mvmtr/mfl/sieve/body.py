# -*- test-case-name: mvmtr.test.test_mfl_sieve -*-
"""The test C{body} (RFC 5173)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mvmtr.mfl.runtime import Run
from mvmtr.mfl.sieve import comparison, fields, mime
from mvmtr.mfl.specs import Argument, Extension, Kind, Tag, TestSpec, Use

_CACHED = 16 << 20
"""The decoded parts of a larger body are not kept from one test to the next."""


def _check(use: Use) -> None:
    comparison.check(use, use.arguments["keys"])


def _parts(run: Run) -> list[mime.Part]:
    parts: list[mime.Part] | None = run.state.get("parts")
    if parts is None:
        body = run.message.body()
        run.step(1 + comparison.work(len(body)))
        parts = list(mime.parts(fields.split(run.message.original), body))
        run.state["parts"] = parts
    return parts


def _decoded(run: Run, number: int, part: mime.Part, readable: bool) -> list[bytes]:
    """What a part holds, decoded; kept for the next test where it is not too large."""
    known: dict[tuple[int, bool], list[bytes] | None] = run.state.setdefault("decoded", {})
    key = (number, readable)
    texts = known.get(key)
    if texts is None:
        size = sum(map(len, part.texts))
        # Twice the same costs what it takes.
        run.step(1 + (size >> 9 if key in known else comparison.work(size)))
        texts = part.readable() if readable else part.decoded()
        known[key] = texts if run.message.size <= _CACHED else None
    return texts


def _texts(run: Run) -> list[bytes]:
    found: list[bytes] = []
    for number, part in enumerate(_parts(run)):
        if part.type == "text":
            found += _decoded(run, number, part, True)
    return found


def _contents(run: Run, kinds: Sequence[bytes]) -> list[bytes]:
    names = [kind.decode("utf-8", "replace") for kind in kinds]
    found: list[bytes] = []
    for number, part in enumerate(_parts(run)):
        if any(mime.wanted(name, part) for name in names):
            found += _decoded(run, number, part, False)
    return found


def _body(use: Use) -> Callable[[Run, Sequence[Any]], bool]:
    # Match variables are not set (RFC 5173, section 6).
    compare = comparison.build(use, use.arguments["keys"], captures=False)
    if "raw" in use.tags:
        return lambda run, values: compare(run, (run.message.body(),), values)
    kinds = use.tags.get("content")
    if kinds is not None:
        return lambda run, values: compare(run, _contents(run, kinds.get(values)), values)
    return lambda run, values: compare(run, _texts(run), values)


EXTENSION = Extension(
    ("body",),
    tests=(
        TestSpec(
            "body",
            _body,
            (Argument("keys", Kind.STRINGS),),
            (
                Tag("raw", group="transform"),
                Tag("text", group="transform"),
                Tag("content", group="transform", kind=Kind.STRINGS),
            ),
            families=comparison.FAMILIES,
            capabilities=("body",),
            check=_check,
        ),
    ),
)
