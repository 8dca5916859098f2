"""
Random conversations: valid commands, broken ones, whole messages, random bytes; and ways to
cut them. L{mvmtr.test.model} says what the words in them mean.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from mvmtr.test.model import (
    ANSWERS,
    BADMAILFROM,
    COMMAND_MAX,
    HOPS_MAX,
    LATE,
    MESSAGE_MAX,
    QUEUE_ANSWERS,
)


def _mixed(*values: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(values)


_users = (b"user",) * 4 + (LATE + b"user",) * 2
_words = _mixed(*_users * 2, *ANSWERS, *(LATE + word for word in ANSWERS))
_domains = _mixed(
    b"@local.example",
    b"@LOCAL.example",
    b"@deep.below.example",
    b"@below.example",
    b"@elsewhere.example",
    b"@",
    b"",
)
_senders = _words.map(lambda word: word + b"@remote.example") | _mixed(
    b"",
    BADMAILFROM,
    b"\xc3\xa9@remote.example",
    b"\xe9@remote.example",
    b"data-reject@remote.example",
    b"late-data-leave@remote.example",
    b"late-data-discard@remote.example",
)
_recipients = st.tuples(_words, _domains).map(b"".join) | _mixed(
    b"\xc3\xa9@local.example", b"\xe9@local.example"
)
_good_forms = _mixed(b"<%s>", b"<%s>", b"<%s>", b"%s", b"<@relay.example:%s>", b" <%s>")
_odd_forms = _mixed(
    b"<%s",
    b'<"%s>',
    b'"%s',
    b"<@%s>",
    b'<"%s">',
    b"<\\%s>",
    b"%s junk",
    b"<%s> SIZE=10 BODY=8BITMIME",
    b"<%s> SIZE=60",
    b"<%s> SIZE=61",
    b"<%s> SIZE=1 SIZE=1",
    b"<%s> SIZE",
    b"<%s> FOO=BAR",
    b"<%s> RET=FULL ENVID=x+2By",
    b"<%s> RET=ALL",
    b"<%s> ENVID=",
    b"<%s> NOTIFY=success,DELAY ORCPT=rfc822;a+40b",
    b"<%s> NOTIFY=NEVER,DELAY",
    b"<%s> ORCPT=rfc822",
    b"<%s> SMTPUTF8",
    b"<%s> SMTPUTF8=",
    b"<%s> BODY=BINARYMIME SMTPUTF8",
    b"<a\0%s>",
    b"<%s\r>",
    b"",
)


def _filled(form: bytes, value: bytes) -> bytes:
    return form.replace(b"%s", value)


def _path_command(verb: bytes, values: Any, forms: Any) -> st.SearchStrategy[bytes]:
    return st.builds(lambda form, value: verb + _filled(form, value), forms, values)


_mail = _path_command(b"MAIL FROM:", _senders, _good_forms)
_rcpt = _path_command(b"RCPT TO:", _recipients, _good_forms)
_helo = st.builds(lambda verb, word: verb + word, _mixed(b"HELO ", b"ehlo ", b"EHLO "), _words)
_other = _mixed(b"NOOP", b"noop  x", b"RSET", b"VRFY x", b"HELP", b"DATA", b"QUIT", b"Data x")
_xclient = st.builds(
    lambda words: b" ".join([b"XCLIENT", *words]),
    st.lists(
        _words.map(lambda word: b"HELO=" + word)
        | _mixed(
            *(b"ADDR=203.0.113.9", b"helo=user", b"name=c.example", b"LOGIN=[UNAVAILABLE]") * 3,
            *(
                b"",
                b"ADDR=203.0.113",
                b"ADDR=0.0.0.0",
                b"ADDR=256.0.0.1",
                b"HELO=a+0Ab",
                b"HELO=",
                b"x=y",
            ),
        ),
        max_size=3,
    ),
)
_broken = st.one_of(
    _path_command(b"MAIL FROM:", _senders, _odd_forms),
    _path_command(b"RCPT TO:", _recipients, _odd_forms),
    _mixed(
        b"",
        b".",
        b" NOOP",
        b"NOOP\0",
        b"QU\rIT",
        b"STARTTLS",
        b"AUTH",
        b"AUTH PLAIN AGEAYg==",
        b"MAIL",
        b"RCPT TO",
        b"MAIL TO:<a>",
    ),
    st.binary(max_size=30),
    st.integers(898, 901).map(lambda size: b"MAIL FROM:<%s>" % (b"x" * size)),
    st.integers(COMMAND_MAX - 5, COMMAND_MAX - 4).map(lambda size: b"NOOP " + b"x" * size),
)
_line_ends = _mixed(b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n")
_commands = st.builds(
    lambda command, end: command + end,
    st.one_of(_helo, _mail, _rcpt, _other, _xclient, _broken),
    _line_ends,
)

_message_words = _mixed(
    *_users * 2, *ANSWERS, *QUEUE_ANSWERS, LATE + b"full", LATE + b"reject", LATE + b"discard"
)
_text_lines = st.one_of(
    _mixed(
        b"",
        b".",
        b"..",
        b"..x",
        b".x",
        b".\rx",
        b"\r",
        b".\r",
        b"x\r",
        b"QUIT",
        b"x" * 54,
        b"x" * 55,
    ),
    _mixed(b"Received: x", b"rEceived:", b".Received: x", b"Received", b"Delivered-To: x"),
    _mixed(b"MAIL FROM:<user@remote.example>", b"a\nb", b"\n.\n"),
    st.binary(max_size=12),
)
_texts = st.builds(
    lambda word, lines, end: b"\r\n".join([word, *lines]) + end,
    _message_words,
    st.lists(_text_lines, max_size=6),
    _mixed(b"\r\n.\r\n", b"\r\n.\r\n", b"\r\n.\r\n", b"\r\n.\r\n", b"\r\n.\n", b"\n.\r\n", b""),
)
_hops = _mixed(b"\r\nreceived: x", b"\r\nDelivered-To: x")
_texts_at_limits = st.one_of(
    st.integers(MESSAGE_MAX - 7, MESSAGE_MAX - 5).map(lambda size: b"user\r\n" + b"x" * size),
    st.lists(_hops, min_size=1, max_size=HOPS_MAX).map(lambda hops: b"user" + b"".join(hops)),
    _mixed(b"", b".\rx", b"..", b"\r\nReceived: x"),
).map(lambda text: text + b"\r\n.\r\n")

_transactions = st.builds(
    lambda mail, rcpts, text: b"\r\n".join([mail, *rcpts, b"DATA", text]),
    _mail,
    st.lists(_rcpt, min_size=1, max_size=3),
    _texts,
)
_plain_transactions = st.builds(
    lambda late, text: (
        b"MAIL FROM:<%suser@remote.example>\r\nRCPT TO:<%suser@local.example>\r\nDATA\r\n%s"
        % (late, late, text)
    ),
    _mixed(b"", LATE),
    _texts | _texts_at_limits,
)

_chunk_bytes = _mixed(
    b"",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b".",
    b"\n.\n",
    b"\r\n.\r\n",
    b"x" * 30,
    b"MAIL FROM:<>\r\n",
) | st.one_of(_message_words, _text_lines, _hops)
_chunks = st.builds(
    lambda form, lie, text: form % (max(0, len(text) + lie), text),
    _mixed(
        *(b"BDAT %d\r\n%s",) * 4,
        *(b"BDAT %d LAST\r\n%s",) * 4,
        b"bdat  %d  last \n%s",
        b"BDAT %d LAST x\r\n%s",
        b"BDAT -%d\r\n%s",
        b"BDAT\0%d\r\n%s",
    ),
    _mixed(*(0,) * 8, 1, -1, 7, 10**19),
    st.lists(_chunk_bytes, max_size=4).map(b"".join),
)
_chunk_mails = st.builds(
    lambda helo, mail: helo + mail,
    _mixed(*(b"EHLO user\r\n",) * 6, b"HELO user\r\n", b""),
    _path_command(
        b"MAIL FROM:",
        _senders,
        _mixed(*(b"<%s>",) * 4, *(b"<%s> BODY=BINARYMIME",) * 2, b"<%s> SMTPUTF8"),
    ),
)
_chunked_transactions = st.builds(
    lambda mail, rcpts, chunks: b"\r\n".join([mail, *rcpts, b"".join(chunks)]),
    _chunk_mails,
    st.lists(_rcpt, min_size=1, max_size=2),
    st.lists(_chunks | _commands, min_size=1, max_size=5),
)
_plain_chunks = st.builds(
    lambda mail, text, places: (
        b"%s\r\nRCPT TO:<user@local.example>\r\n%s" % (mail, in_chunks(text, places))
    ),
    _chunk_mails,
    st.one_of(_texts, _texts_at_limits, st.lists(_chunk_bytes, max_size=5).map(b"".join)),
    st.lists(st.integers(0, 60), max_size=4),
)


def in_chunks(text: bytes, places: list[int]) -> bytes:
    """A text as chunks that end at some places, the last one marked as such."""
    ends = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    pieces = [text[start:end] for start, end in pairwise(ends)]
    chunks = [b"BDAT %d\r\n%s" % (len(piece), piece) for piece in pieces[:-1]]
    return b"".join(chunks) + b"BDAT %d LAST\r\n%s" % (len(pieces[-1]), pieces[-1])


conversations = st.lists(
    st.one_of(
        _commands, _transactions, _plain_transactions, _chunks, _chunked_transactions, _plain_chunks
    ),
    max_size=8,
).map(b"".join)
"""All that a client sends: valid commands, broken ones, whole messages, random bytes."""

noise = st.lists(
    st.one_of(
        st.binary(max_size=40),
        _mixed(b"\r\n", b"\n", b"\r", b"\0", b".", b"\r\n.\r\n", b"DATA\r\n", b"MAIL FROM:<", b">"),
    ),
    max_size=40,
).map(b"".join)
"""Bytes in no order at all."""


@st.composite
def cut(draw: Any, sent: st.SearchStrategy[bytes]) -> list[bytes]:
    """What is sent, in pieces that break anywhere."""
    data = draw(sent)
    how = draw(st.sampled_from(("anywhere", "after CR", "after each byte")))
    if how == "after CR":
        places = [match.end() for match in re.finditer(rb"\r", data)]
    elif how == "after each byte" and len(data) < 400:
        places = list(range(1, len(data)))
    else:
        places = draw(st.lists(st.integers(0, len(data)), max_size=12))
    ends = sorted({0, *places, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]
