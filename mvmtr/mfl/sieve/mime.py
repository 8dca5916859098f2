# -*- test-case-name: mvmtr.test.test_mfl_mime -*-
"""
The parts of a message (RFC 2045, RFC 2046), as far as tests on bodies want them. Pure.

Whatever a message holds, the work is bounded: parts within parts are followed to a certain
depth, and no more than so many of them are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mvmtr.mfl.sieve import charsets, fields, html, words

DEPTH_MAX = 20
PARTS_MAX = 1000

_TYPE = re.compile(rb"\s*([^\s/;()<>@,:\\\"]+)\s*/\s*([^\s/;()<>@,:\\\"]+)")
_PARAMETER = re.compile(
    rb';\s*([^\s=;"]{1,60})\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]+))', re.DOTALL
)
_PLAIN = ("text", "plain")


@dataclass(frozen=True)
class Part:
    """
    A part with no parts in it, or what a part with parts has of its own.

    @ivar type: and C{subtype}: in lower case.
    @ivar texts: its content; of a multipart what stands before and after its parts, of a
        message in a message that one's header.
    """

    type: str
    subtype: str
    encoding: str
    charset: str
    texts: tuple[bytes, ...]

    def decoded(self) -> list[bytes]:
        """The content with its transfer encoding undone, text as UTF-8."""
        if self.type == "multipart":
            return list(self.texts)
        if self.type == "message":
            return [words.decode(text) for text in self.texts]
        return [self._decode(text) for text in self.texts]

    def _decode(self, text: bytes) -> bytes:
        if self.encoding == "base64":
            text = words.unbase64(text)
        elif self.encoding == "quoted-printable":
            text = words.unquote(text)
        if self.type != "text":
            return text
        text = text.replace(b"\r\n", b"\n")
        converted = charsets.to_utf8(text, self.charset or "utf-8")
        return text if converted is None else converted

    def readable(self) -> list[bytes]:
        """The content as a reader sees it."""
        if (self.type, self.subtype) in (("text", "html"), ("application", "xhtml+xml")):
            return [html.to_text(text) for text in self.decoded()]
        return self.decoded()


def _first(header: list[fields.Field], name: bytes) -> bytes:
    return next((field.raw for field in header if field.name.lower() == name), b"")


def _parameters(value: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(value):
        name, quoted, token = match.groups()
        text = token if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted)
        found.setdefault(name.decode("latin-1").lower(), text.decode("latin-1"))
    return found


class _Walk:
    """Goes through the parts of one message."""

    def __init__(self) -> None:
        self._left = PARTS_MAX

    def parts(
        self, header: list[fields.Field], body: bytes, default: tuple[str, str], depth: int
    ) -> Iterator[Part]:
        self._left -= 1
        if self._left < 0:
            return
        value = _first(header, b"content-type")
        found = _TYPE.match(value)
        kind, subtype = default
        if found is not None:
            kind, subtype = (text.decode("latin-1").lower() for text in found.groups())
        parameters = _parameters(value[found.end() :] if found else b"")
        encoding = _first(header, b"content-transfer-encoding").decode("latin-1").lower()
        boundary = parameters.get("boundary", "").encode("latin-1").rstrip()
        if kind == "multipart" and boundary and depth < DEPTH_MAX:
            yield from self._multipart(subtype, boundary, body, depth)
        elif kind == "message" and subtype in ("rfc822", "global") and depth < DEPTH_MAX:
            inner, text = _cut(body)
            yield Part(kind, subtype, "", "", (inner,))
            yield from self.parts(fields.split(inner), text, _PLAIN, depth + 1)
        else:
            yield Part(kind, subtype, encoding, parameters.get("charset", ""), (body,))

    def _multipart(self, subtype: str, boundary: bytes, body: bytes, depth: int) -> Iterator[Part]:
        before, sections, after = _sections(body, boundary)
        yield Part("multipart", subtype, "", "", (before, after))
        default = ("message", "rfc822") if subtype == "digest" else _PLAIN
        for section in sections:
            header, text = _cut(section)
            yield from self.parts(fields.split(header), text, default, depth + 1)


def _cut(entity: bytes) -> tuple[bytes, bytes]:
    """The header and the body of a part."""
    if entity.startswith(b"\n"):
        return b"", entity[1:]
    header, _empty, body = entity.partition(b"\n\n")
    return header, body


def _sections(body: bytes, boundary: bytes) -> tuple[bytes, list[bytes], bytes]:
    """What stands before, between and after the boundary lines of a multipart."""
    line = re.compile(rb"(?:\n|\A)--" + re.escape(boundary) + rb"(--)?[ \t]*+(?:\n|\Z)")
    sections: list[bytes] = []
    before: bytes | None = None
    done = at = 0
    while (found := line.search(body, at)) is not None and len(sections) < PARTS_MAX:
        text = body[done : found.start()] if found.start() > done else b""
        if before is None:
            before = text
        else:
            sections.append(text)
        done = found.end()
        # The line end of one boundary line may begin the next.
        at = done - 1 if body[done - 1 : done] == b"\n" else done
        if found[1]:
            return before, sections, body[done:]
    if before is None:
        return body, [], b""
    sections.append(body[done:])
    return before, sections, b""


def parts(header: list[fields.Field], body: bytes) -> Iterator[Part]:
    """
    The parts of a message, in order, parts in parts behind the one that holds them.

    @param body: lines end in LF.
    """
    return _Walk().parts(header, body, _PLAIN, 0)


def wanted(kind: str, part: Part) -> bool:
    """
    Whether a content type of a script covers a part (RFC 5173, section 5.2): all, one type
    or one type with its subtype.
    """
    kind = kind.lower()
    if not kind:
        return True
    main, slash, subtype = kind.partition("/")
    if not slash:
        return part.type == main
    if not main or not subtype or "/" in subtype:
        return False
    return (part.type, part.subtype) == (main, subtype)
