# -*- test-case-name: mvmtr.test.test_mfl_addresses -*-
"""
Addresses in header fields (RFC 5322, section 3.4, with its obsolete forms) and their parts
(RFC 5228, section 2.7.4; RFC 5233). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"[ \t\r\n]+"
    rb'|"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
    rb"|\[(?:[^\]\\]|\\.)*(?:\]|\\?\Z)"
    rb"|[^ \t\r\n\"(),.:;<>@\[\]\\]+"
    rb"|.",
    re.DOTALL,
)
"""White space, a quoted string, a literal (each to the end where it is never closed), an atom,
or one byte."""
_SIMPLE = re.compile(
    rb"\s*+(?:[^\"(),:;<>@\[\]\\]*+<%(dots)s@%(dots)s>|%(dots)s@%(dots)s)\s*+\Z"
    % {b"dots": rb"([-!#$%&'*+/=?^_`{|}~0-9A-Za-z]++(?:\.[-!#$%&'*+/=?^_`{|}~0-9A-Za-z]++)*+)"}
)
"""One address as nearly all are written."""
_DOT_ATOM = re.compile(rb"[-!#$%&'*+/=?^_`{|}~0-9A-Za-z\x80-\xff]+(?:\.[^.]+)*\Z")
_UNSAFE = re.compile(rb'(["\\])')
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT_MARK = re.compile(rb'\\.|["()]', re.DOTALL)
_LONGEST = 256 << 10
"""More than this of one field is not looked at."""


@dataclass(frozen=True)
class Address:
    """
    @ivar local: without quotes; C{None} for what is no address.
    @ivar domain: C{None} for what is no address, or a mailbox without one.
    @ivar written: the whole: C{local@domain}, quoted where it has to be; the text itself for
        what is no address.
    """

    local: bytes | None
    domain: bytes | None
    written: bytes


def mailbox(local: bytes, domain: bytes | None) -> Address:
    """The address of a mailbox."""
    name = local if _is_dot_atom(local) else b'"' + _UNSAFE.sub(rb"\\\1", local) + b'"'
    return Address(local, domain, name if domain is None else name + b"@" + domain)


def _is_dot_atom(local: bytes) -> bool:
    return _DOT_ATOM.match(local) is not None and not any(
        byte in local for byte in b' \t"(),:;<>@[]\\'
    )


def envelope_address(path: bytes) -> Address:
    """
    The address of an envelope, as bytes without brackets: what follows the last C{@} is its
    domain. The empty one is the null reverse path, each part of which is empty (RFC 5228,
    section 5.4).
    """
    if not path:
        return Address(b"", b"", b"")
    local, at, domain = path.rpartition(b"@")
    if not at:
        return Address(_unquoted(path), None, path)
    if local.startswith(b'"'):
        return mailbox(_unquoted(local), domain)
    return Address(local, domain, path)


def _unquoted(word: bytes) -> bytes:
    if len(word) > 1 and word[:1] == word[-1:] == b'"':
        return _ESCAPED.sub(rb"\1", word[1:-1])
    return word


def _without_comments(value: bytes) -> bytes:
    """The text with a space for each comment; one that is never closed reaches to the end."""
    if b"(" not in value:
        return value
    kept: list[bytes] = []
    done = depth = 0
    quoted = False
    for found in _COMMENT_MARK.finditer(value):
        mark = found.group()
        if mark == b'"' and not depth:
            quoted = not quoted
        elif mark == b"(" and not quoted:
            if not depth:
                kept.append(value[done : found.start()])
            depth += 1
        elif mark == b")" and not quoted and depth:
            depth -= 1
            if not depth:
                kept.append(b" ")
                done = found.end()
    if not depth:
        kept.append(value[done:])
    return b"".join(kept)


def parse(value: bytes) -> list[Address]:
    """
    The addresses of a field's value, in order; members of groups among them, groups
    themselves not. What is no address is given as an L{Address} with no parts.
    """
    simple = _SIMPLE.match(value)
    if simple is not None:
        local, domain = simple[1] or simple[3], simple[2] or simple[4]
        return [Address(local, domain, local + b"@" + domain)]
    return list(_Reader(_without_comments(value[:_LONGEST])).addresses())


class _Reader:
    """Cuts a value into addresses. It looks at every token once."""

    def __init__(self, value: bytes) -> None:
        self._tokens = iter(_TOKEN.findall(value))

    def addresses(self) -> Iterator[Address]:
        words: list[bytes] = []
        for token in self._tokens:
            if token in (b",", b";"):
                yield from self._finish(words)
                words = []
            elif token == b":":
                words = []
            elif token == b"<":
                found = self._angle(words)
                if found is not None:
                    yield found
                words = []
            else:
                words.append(token)
        yield from self._finish(words)

    def _angle(self, before: list[bytes]) -> Address | None:
        """The address between brackets, and all that follows it up to a comma."""
        inside: list[bytes] = []
        closed = False
        for token in self._tokens:
            if token == b">":
                closed = True
                break
            inside.append(token)
        after: list[bytes] = []
        for token in self._tokens if closed else ():
            if token in (b",", b";"):
                break
            after.append(token)
        route = [at for at, token in enumerate(inside) if token == b":"]
        words = inside[route[-1] + 1 :] if route and inside[0] == b"@" else inside
        found = _spec(words) if closed and not b"".join(after).strip() else None
        if found is None:
            return _invalid([*before, b"<", *inside, b">" if closed else b"", *after])
        return found

    def _finish(self, words: list[bytes]) -> Iterator[Address]:
        if not b"".join(words).strip():
            return
        found = _spec(words)
        yield found if found is not None else _invalid(words)


def _invalid(words: list[bytes]) -> Address:
    return Address(None, None, b"".join(words).strip())


def _spec(tokens: list[bytes]) -> Address | None:
    """C{local@domain}, or a local part alone; C{None} where the tokens are neither."""
    words = [token for token in tokens if not token.isspace()]
    if b"@" not in words:
        return None
    at = words.index(b"@")
    local, domain = words[:at], words[at + 1 :]
    if not _is_dotted(local) or not domain:
        return None
    if not (len(domain) == 1 and domain[0].startswith(b"[")) and not _is_dotted(domain, False):
        return None
    return mailbox(b"".join(map(_unquoted, local)), b"".join(domain))


def _is_dotted(words: list[bytes], quotes: bool = True) -> bool:
    """Whether words and single dots take turns."""
    if len(words) % 2 == 0 or any(word != b"." for word in words[1::2]):
        return False
    return all(
        word[:1] not in b'."@[]\\' or (quotes and len(word) > 1 and word[:1] == b'"')
        for word in words[::2]
    )


def _whole(address: Address) -> bytes | None:
    return address.written


def _local(address: Address) -> bytes | None:
    return address.local


def _domain(address: Address) -> bytes | None:
    return address.domain


PARTS: dict[str, Callable[[Address], bytes | None]] = {
    "all": _whole,
    "localpart": _local,
    "domain": _domain,
}
"""The parts of an address; C{None} from an address that has no such part."""


def user(address: Address, separators: bytes) -> bytes | None:
    """
    What stands before the first separator of the local part; all of it where there is none.

    @param separators: the bytes each of which is one.
    """
    if address.local is None:
        return None
    return _split(address.local, separators)[0]


def detail(address: Address, separators: bytes) -> bytes | None:
    """What follows the first separator of the local part; C{None} where there is none."""
    if address.local is None:
        return None
    return _split(address.local, separators)[1]


def _split(local: bytes, separators: bytes) -> tuple[bytes, bytes | None]:
    places = [place for byte in separators if (place := local.find(byte)) >= 0]
    if not places:
        return local, None
    first = min(places)
    return local[:first], local[first + 1 :]
