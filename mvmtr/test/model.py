"""
A model of a session: what has to come of all that a client sends.

It is written without a look at speed, and knows nothing of pieces or of waiting. Local
parts, HELO names and the first line of a message are words that tell the stand-ins of
L{mvmtr.test.fuzzed} what to answer, at once or, after C{late-}, later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mvmtr.session import Defer, Discard, Reject, Verdict

COMMAND_MAX = 1200
MESSAGE_MAX = 60
HOPS_MAX = 2
RCPTHOSTS = (b"local.example", b".below.example")
BADMAILFROM = b"bad@remote.example"

ANSWERS: dict[bytes, Verdict] = {
    b"reject": Reject(550, "5.1.1 by its name"),
    b"defer": Defer(450, "4.2.0 by its name"),
    b"leave": Defer(421, "4.3.2 by its name"),
    b"discard": Discard(),
}
"""What a check answers to a word, whatever stage it is asked at."""

QUEUE_ANSWERS: dict[bytes, Verdict] = {
    b"full": Defer(452, "4.3.1 by its name"),
    b"virus": Reject(554, "5.7.0 by its name"),
}
"""What the queue answers to a word."""

LATE = b"late-"


def word_of(text: bytes) -> bytes:
    """The word in an address, a HELO name or a message, with nothing said about when."""
    return re.split(rb"[@\n]", text)[0].removeprefix(LATE)


def data_word_of(sender: bytes) -> bytes:
    """The word for DATA, which is the sender's after C{data-}."""
    word = word_of(sender)
    return word.removeprefix(b"data-") if word.startswith(b"data-") else b""


@dataclass(frozen=True)
class Delivery:
    """A message as the queue gets it."""

    sender: bytes
    recipients: tuple[bytes, ...]
    text: bytes


@dataclass
class _Transaction:
    sender: bytes
    recipients: list[bytes] = field(default_factory=list)
    any_recipient: bool = False
    discard: bool = False
    utf8: bool = False
    binary: bool = False
    chunks: bytes | None = None


class Model:
    """
    What a server does with all that a client sends.

    @ivar codes: the reply codes.
    @ivar deliveries: what the queue is asked to take.
    @ivar closed: whether the server ends the session.
    """

    def __init__(self, sent: bytes) -> None:
        self.codes = [220]
        self.deliveries: list[Delivery] = []
        self.closed = False
        self._transaction: _Transaction | None = None
        self._discard = self._esmtp = False
        while not self.closed:
            line, end, sent = sent.partition(b"\n")
            if not end:
                break
            line = line.removesuffix(b"\r")
            chunk = chunk_of(line) if self._esmtp else None
            if chunk is not None:
                sent = self._chunk(*chunk, sent)
                continue
            code = self._command(line)
            self._say(code)
            if code == 354:
                sent = self._message(sent)
            if self._esmtp and code in (500, 501, 502) and line.upper().startswith(b"BDAT"):
                self.closed = True

    def _say(self, code: int) -> None:
        self.codes.append(code)
        self.closed = self.closed or code in (221, 421)

    def _command(self, line: bytes) -> int:
        if len(line) > COMMAND_MAX:
            return 500
        if b"\r" in line or b"\0" in line:
            return 501
        verb, _blank, argument = line.partition(b" ")
        argument = argument.lstrip(b" ")
        match verb.upper():
            case b"HELO" | b"EHLO":
                return self._helo(argument, verb.upper() == b"EHLO")
            case b"MAIL":
                return self._mail(argument)
            case b"RCPT":
                return self._rcpt(argument)
            case b"DATA":
                return self._data()
            case b"RSET":
                self._transaction = None
                return 250
            case b"BDAT" if self._esmtp:
                return 501
            case b"XCLIENT":
                return self._xclient(argument)
        return {b"NOOP": 250, b"VRFY": 252, b"HELP": 214, b"QUIT": 221}.get(verb.upper(), 502)

    def _helo(self, name: bytes, esmtp: bool = False) -> int:
        word = word_of(name)
        if refusal(word):
            return refusal(word)
        self._discard = self._discard or word == b"discard"
        self._transaction = None
        self._esmtp = esmtp
        return 250

    def _xclient(self, argument: bytes) -> int:
        """The client is one that may speak for others."""
        if self._transaction is not None:
            return 503
        words = argument.split()
        if not words or not all(XCLIENT_WORD.fullmatch(word) for word in words):
            return 501
        self._discard = self._esmtp = False
        names = [word[5:] for word in words if word.upper().startswith(b"HELO=")]
        code = self._helo(names[-1]) if names else 250
        return 220 if code == 250 else code

    def _mail(self, argument: bytes) -> int:
        path = parsed_path(argument, b"FROM:")
        if path is None:
            return 555
        sender, words = path
        code = parameter_code(words, MAIL_PARAMETERS)
        words = [word.upper() for word in words]
        size = max((int(word[5:]) for word in words if word.startswith(b"SIZE=")), default=0)
        utf8 = b"SMTPUTF8" in words
        code = code or (552 if size > MESSAGE_MAX else 0)
        code = code or (553 if utf8 and not is_utf8(sender) else 0)
        if code:
            return code
        self._transaction = None
        word = word_of(sender)
        if refusal(word):
            return refusal(word)
        self._transaction = _Transaction(sender)
        self._transaction.utf8 = utf8
        self._transaction.binary = b"BODY=BINARYMIME" in words
        self._transaction.discard = self._discard or word == b"discard"
        return 250

    def _rcpt(self, argument: bytes) -> int:
        if self._transaction is None or self._transaction.chunks is not None:
            return 503
        path = parsed_path(argument, b"TO:")
        if path is None:
            return 555
        recipient, words = path
        code = parameter_code(words, RCPT_PARAMETERS)
        if code:
            return code
        if self._transaction.utf8 and not is_utf8(recipient):
            return 553
        word = word_of(recipient)
        if self._transaction.sender.lower() == BADMAILFROM:
            return 553
        if refusal(word):
            return refusal(word)
        if word != b"discard":
            if not is_ours(recipient):
                return 553
            self._transaction.recipients.append(recipient)
        self._transaction.any_recipient = True
        return 250

    def _data(self) -> int:
        mail = self._transaction
        if mail is None or mail.binary or mail.chunks is not None:
            return 503
        return self._opened() or 354

    def _opened(self) -> int:
        """The code with which the text of a message is refused; 0 when it is not."""
        if self._transaction is None or not self._transaction.any_recipient:
            return 503
        word = data_word_of(self._transaction.sender)
        if refusal(word):
            self._transaction = None
            return refusal(word)
        self._transaction.discard = self._transaction.discard or word == b"discard"
        return 0

    def _chunk(self, size: int, last: bool, sent: bytes) -> bytes:
        code = 0
        if self._transaction is None or self._transaction.chunks is None:
            code = self._opened()
        if len(sent) >= size:
            self._say(code or self._chunk_ended(sent[:size], last))
        return sent[size:]

    def _chunk_ended(self, raw: bytes, last: bool) -> int:
        mail = self._transaction
        assert mail is not None
        mail.chunks = (mail.chunks or b"") + raw
        lines = mail.chunks.replace(b"\r\n", b"\n")
        text = mail.chunks if mail.binary else lines
        header = lines[: lines.index(b"\n\n")] if b"\n\n" in lines else lines
        header = b"" if lines.startswith(b"\n") else header
        if not last and not mail.binary:
            text = text.removesuffix(b"\r")
        if last and not mail.binary and text and not text.endswith(b"\n"):
            text += b"\n"
        code = unfit(header.split(b"\n"), text)
        if not last and not code:
            return 250
        code = code or self._whole(text)
        self._transaction = None
        return code

    def _message(self, sent: bytes) -> bytes:
        raw, end, rest = (b"\r\n" + sent).partition(b"\r\n.\r\n")
        if re.search(rb"(?<!\r)\n", raw):
            self._say(451)
            self.closed = True
        elif end:
            self._say(self._end_of_data(raw.split(b"\r\n")[1:]))
            self._transaction = None
        return rest

    def _end_of_data(self, lines: list[bytes]) -> int:
        header = lines[: lines.index(b"")] if b"" in lines else lines
        text = b"".join(
            line[line.startswith(b".") and not line.startswith(b".\r") :] + b"\n" for line in lines
        )
        return unfit(header, text) or self._whole(text)

    def _whole(self, text: bytes) -> int:
        word = word_of(text)
        if refusal(word):
            return refusal(word)
        mail = self._transaction
        assert mail is not None
        if mail.discard or word == b"discard" or not mail.recipients:
            return 250
        self.deliveries.append(Delivery(mail.sender, tuple(mail.recipients), text))
        return QUEUE_ANSWERS[word].code if word in QUEUE_ANSWERS else 250


def chunk_of(line: bytes) -> tuple[int, bool] | None:
    """Length of a chunk, and whether it is the last one; C{None} for no good BDAT."""
    match = re.fullmatch(rb"BDAT +(\d{1,20})( +LAST)? *", line, re.IGNORECASE)
    if match is None or len(line) > COMMAND_MAX:
        return None
    return int(match[1]), bool(match[2])


def unfit(header: list[bytes], text: bytes) -> int:
    """The code with which a message is refused for its hops or its size; 0 when it is not."""
    hops = [line for line in header if line.lower().startswith((b"received:", b"delivered-to:"))]
    if len(hops) >= HOPS_MAX:
        return 554
    return 552 if len(text) > MESSAGE_MAX else 0


def is_utf8(address: bytes) -> bool:
    """Whether an address is UTF-8."""
    return address.decode("utf-8", "replace").encode() == address


def refusal(word: bytes) -> int:
    """The code with which the check refuses a word; 0 when it does not."""
    verdict = ANSWERS.get(word)
    return 0 if verdict is None or isinstance(verdict, Discard) else verdict.code


def is_ours(recipient: bytes) -> bool:
    """Whether rcpthosts allows a recipient."""
    _local, at, domain = recipient.lower().rpartition(b"@")
    return not at or domain == RCPTHOSTS[0] or domain.endswith(RCPTHOSTS[1])


def parsed_path(argument: bytes, keyword: bytes) -> tuple[bytes, list[bytes]] | None:
    """Address and parameters, byte by byte; C{None} for what is no path."""
    if not argument.upper().startswith(keyword):
        return None
    bracket = b"<" in argument
    left = argument.split(b"<", 1)[1] if bracket else argument[len(keyword) :].lstrip(b" ")
    if not left and not bracket:
        return None
    if left.startswith(b"@"):
        if b":" not in left:
            return None
        left = left.split(b":", 1)[1]
    address = b""
    quoted = escaped = False
    for place, byte in enumerate(left):
        if escaped or byte not in b'"\\':
            if not escaped and not quoted and byte == (b">" if bracket else b" ")[0]:
                return _short_enough(address, left[place + 1 :])
            address += bytes([byte])
            escaped = False
        elif byte == b"\\"[0]:
            escaped = True
        else:
            quoted = not quoted
    return None if quoted or bracket else _short_enough(address, b"")


def _short_enough(address: bytes, rest: bytes) -> tuple[bytes, list[bytes]] | None:
    return None if len(address) > 899 else (address, rest.split())


MAIL_PARAMETERS = {
    b"SIZE": rb"=\d{1,20}",
    b"BODY": rb"=(7BIT|8BITMIME|BINARYMIME)",
    b"SMTPUTF8": rb"",
    b"RET": rb"=(FULL|HDRS)",
    b"ENVID": rb"=([!-*,-<>-~]|\+[2-7][0-9A-F]){1,100}",
}
RCPT_PARAMETERS = {
    b"NOTIFY": rb"=(NEVER|(SUCCESS|FAILURE|DELAY)(,(SUCCESS|FAILURE|DELAY)){0,2})",
    b"ORCPT": rb"=RFC822;([!-*,-<>-~]|\+[2-7][0-9A-F])+",
}


NUMBER = rb"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
XCLIENT_WORD = re.compile(
    rb"(ADDR=(%s\.){3}%s|NAME=c\.example|LOGIN=\[UNAVAILABLE\]|HELO=[a-z.-]+)" % (NUMBER, NUMBER),
    re.IGNORECASE,
)


def parameter_code(words: list[bytes], known: dict[bytes, bytes]) -> int:
    """The code with which parameters are refused; 0 when they are not."""
    seen = set()
    for word in words:
        name, equals, value = word.upper().partition(b"=")
        if name not in known:
            return 555
        if name in seen or not re.fullmatch(known[name], equals + value):
            return 501
        seen.add(name)
    return 0
