"""Text, numbers, time."""

from __future__ import annotations

import hashlib
import re
import time as clock

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.operations import INT_MAX, INT_MIN, compiled, search
from mvmtr.mfl.patterns import pattern
from mvmtr.mfl.runtime import Run
from mvmtr.mfl.signatures import builtin

_INTEGER = re.compile(rb"\s*([-+]?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})\s*\Z")
_FORMAT = re.compile(rb"%(-?)(0?)([0-9]{0,3})([sdx%])|%")
_WIDTH_MAX = 500


@builtin("lower")
def lower(run: Run, text: bytes) -> bytes:
    """ASCII letters in lower case."""
    return run.made(text.lower())


@builtin("upper")
def upper(run: Run, text: bytes) -> bytes:
    """ASCII letters in capitals."""
    return run.made(text.upper())


@builtin("length")
def length(run: Run, of: bytes | tuple[bytes, ...]) -> int:
    """The bytes of a string, or the items of a list."""
    return len(of)


@builtin("substring")
def substring(run: Run, text: bytes, start: int, count: int = INT_MAX) -> bytes:
    """
    C{count} bytes from C{start} on, or as many as there are. A negative C{start} counts
    from the end.
    """
    if start < 0:
        start = max(0, start + len(text))
    return run.made(text[start : start + max(0, count)])


def _empty(text: bytes | None, separator: bytes | None) -> str | None:
    return "the separator is empty" if separator == b"" else None


@builtin("split", check=_empty)
def split(run: Run, text: bytes, separator: bytes) -> tuple[bytes, ...]:
    """The parts between separators."""
    if not separator:
        raise RunError("the separator is empty")
    run.use(16 * text.count(separator))
    return run.made_all(text.split(separator))


@builtin("join")
def join(run: Run, items: tuple[bytes, ...], separator: bytes) -> bytes:
    """The items of a list with a separator between them."""
    run.use(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


@builtin("replace")
def replace(run: Run, text: bytes, old: bytes, new: bytes) -> bytes:
    """The text with another text in each place of C{old}."""
    if not old:
        return text
    count = text.count(old)
    run.use(len(text) + count * max(0, len(new) - len(old)))
    return text.replace(old, new)


def _pattern(text: bytes | None, expression: bytes | None) -> str | None:
    if expression is not None:
        try:
            pattern(expression)
        except ValueError as error:
            return str(error)
    return None


@builtin("match", check=_pattern)
def match(run: Run, text: bytes, expression: bytes) -> tuple[bytes, ...]:
    """What a regular expression matches: all of it, then its groups; [] for no match."""
    found = search(run, compiled(run, expression), text)
    if found is None:
        return ()
    return run.made_all((found.group(0), *(group or b"" for group in found.groups())))


@builtin("local")
def local(run: Run, address: bytes) -> bytes:
    """What stands before the last C{@} of an address; all of it when there is none."""
    run.use(len(address))
    return address.rpartition(b"@")[0] if b"@" in address else address


@builtin("domain")
def domain(run: Run, address: bytes) -> bytes:
    """What stands after the last C{@} of an address, in lower case."""
    run.use(len(address))
    return address.rpartition(b"@")[2].lower() if b"@" in address else b""


@builtin("int")
def to_int(run: Run, text: bytes) -> int:
    """The number that a text stands for."""
    run.use(len(text))
    found = _INTEGER.match(text)
    number = 0
    if found is not None:
        number = int(found[1] + found[2], 16 if found[2][:2].lower() == b"0x" else 10)
    if found is None or not INT_MIN <= number <= INT_MAX:
        raise RunError(f"{text[:40].decode('utf-8', 'replace')!r} is not a number")
    return number


@builtin("string")
def to_string(run: Run, number: int) -> bytes:
    """The decimal digits of a number."""
    return b"%d" % number


def _format_check(text: bytes | None, *values: object) -> str | None:
    if text is None:
        return None
    wanted = [found[4] for found in _FORMAT.finditer(text) if found[4] != b"%"]
    if None in wanted:
        return "% is followed by s, d or x, or is written %%"
    if len(wanted) != len(values):
        return f"the format takes {len(wanted)} values, not {len(values)}"
    return None


@builtin("format", check=_format_check)
def to_format(run: Run, text: bytes, *values: int | bytes) -> bytes:
    """The text with values in place of C{%s}, C{%d}, C{%x}; widths as in C{%-20s} or C{%04d}."""
    wrong = _format_check(text, *values)
    if wrong:
        raise RunError(wrong)
    waiting = iter(values)
    run.step(len(values))

    def one(found: re.Match[bytes]) -> bytes:
        if found[4] == b"%":
            return b"%"
        value = next(waiting)
        if found[4] == b"s":
            shown = value if isinstance(value, bytes) else b"%d" % value
        elif isinstance(value, bytes):
            raise RunError(f"%{found[4].decode()} takes an int, not a string")
        else:
            shown = b"%d" % value if found[4] == b"d" else b"%x" % value
        width = min(int(found[3] or 0), _WIDTH_MAX)
        if found[1]:
            return run.made(shown.ljust(width))
        return run.made(shown.zfill(width) if found[2] else shown.rjust(width))

    return run.made(_FORMAT.sub(one, text))


@builtin("md5")
def md5(run: Run, text: bytes) -> bytes:
    """The MD5 sum in hexadecimal; no protection against anyone, but widely used as a key."""
    run.use(len(text))
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


@builtin("sha256")
def sha256(run: Run, text: bytes) -> bytes:
    """The SHA-256 sum in hexadecimal."""
    run.use(len(text))
    return hashlib.sha256(text).hexdigest().encode()


@builtin("time")
def time(run: Run) -> int:
    """Seconds since 1970."""
    return int(run.host.now())


@builtin("strftime")
def strftime(run: Run, text: bytes, seconds: int) -> bytes:
    """A time, in seconds since 1970, in local time as in C{strftime}: C{%Y-%m-%d %H:%M}."""
    if len(text) > _WIDTH_MAX:
        raise RunError(f"a format of more than {_WIDTH_MAX} bytes")
    try:
        shown = clock.strftime(text.decode("utf-8", "surrogateescape"), clock.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        raise RunError(f"{seconds} is not a time that can be shown so") from None
    return run.made(shown.encode("utf-8", "surrogateescape"))
