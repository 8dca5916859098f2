"""Tests for L{mvmtr.log}."""

from __future__ import annotations

import re
import sys
from io import StringIO

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.udp import Port
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.names.dns import DNSDatagramProtocol
from twisted.plugin import getCache
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mvmtr import log
from mvmtr.log import VALUE_MAX, Record, stderr_observer, text_of, twistd_observer
from mvmtr.test.support import folder

PAIR = re.compile(r'([a-z]+)=("(?:[^"\\]|\\.)*"|[^" ]*)(?: |\Z)', re.DOTALL)
ESCAPE = re.compile(rb'\\(?:x([0-9a-f]{2})|(["\\]))')

NASTY = [
    b'a" code=250 b="',
    b"a\nmvmtr: event=message code=250",
    b"a\r\n\x0b\x0c\x1c\x1d\x1e\x85",
    "\u2028\u2029\x85\x9b".encode(),
    b"\\",
    b'\\"',
    b"\\x41",
    b"a=b",
    b"",
    b" ",
    b"\x1b[2J",
    b"{client} %(client)s %s",
    b"\xff\x80",
    b"\xc2\x80",
]

VALUES = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12),
    st.text('a"\\ =\n\x85\u2028', max_size=8),
    st.sampled_from(NASTY),
    st.integers(),
)


def split(line):
    """Take a line apart as a reader of logs does: names, and values as they stand."""
    pairs = []
    position = 0
    while position < len(line):
        match = PAIR.match(line, position)
        if match is None:
            raise AssertionError(f"no pair at {line[position:]!r}")
        pairs.append((match[1], match[2]))
        position = match.end()
    return pairs


def bytes_of(text):
    """The value that a word in a log line stands for."""
    word = text[1:-1] if text.startswith('"') else text
    return ESCAPE.sub(lambda match: match[2] or bytes([int(match[1], 16)]), word.encode("utf-8"))


class TextOfTests(SynchronousTestCase):
    """Values as they stand in a line."""

    def test_plain_words_stand_as_they_are(self):
        for word in "a@b.example", "203.0.113.7", "[2001:db8::1]", "<>", "it's", "a,b;c{d}%s":
            self.assertEqual(text_of(word), word)
            self.assertEqual(text_of(word.encode()), word)
        self.assertEqual(text_of(250), "250")

    def test_all_else_stands_in_quotes(self):
        for value in "", "a b", "a=b", 'a"b', "a\\b", "a\nb", "\x7f", "\u00e9", "\u3000":
            self.assertTrue(re.fullmatch(r'".*"', text_of(value)), value)

    def test_control_characters_are_escaped(self):
        self.assertEqual(text_of(b"a\r\n\0\x1b\x7f"), r'"a\x0d\x0a\x00\x1b\x7f"')

    def test_quotes_and_backslashes_are_escaped(self):
        self.assertEqual(text_of(b'a"b\\c'), r'"a\"b\\c"')

    def test_letters_of_other_scripts_can_be_read(self):
        self.assertEqual(text_of("\u00fc\u043f@b".encode()), '"\u00fc\u043f@b"')

    def test_long_values_are_cut_and_their_length_told(self):
        longest = "x" * VALUE_MAX
        self.assertEqual(text_of(longest), longest)
        self.assertEqual(text_of(longest + "y"), f"{longest}...({VALUE_MAX + 1})")

    def test_a_value_that_is_cut_is_still_closed(self):
        for value in b'"' * 5000, b"\\" * 5000, b"\n" * 5000, b"\xff" * 5000, b"x" * 5000 + b'"':
            self.assertEqual(split(f"a={text_of(value)} b=1")[1:], [("b", "1")])

    def test_bytes_that_are_no_text_do_not_look_like_others(self):
        self.assertNotEqual(text_of(b"\xff"), text_of(b"\\xff"))

    @settings(deadline=None, max_examples=400)
    @given(st.binary(max_size=16) | st.sampled_from(NASTY))
    @example(b"\\n")
    def test_two_values_never_look_alike(self, value):
        self.assertEqual(bytes_of(text_of(value)), value)

    @settings(deadline=None, max_examples=400)
    @given(VALUES)
    def test_no_value_ends_a_line(self, value):
        self.assertEqual(len(f"{text_of(value)}.".splitlines()), 1)


class RecordTests(SynchronousTestCase):
    """A line of names and values."""

    def test_a_record_reads_as_names_and_values_in_order(self):
        record = Record(event="refused", sender=b"", text="no, not you", code=553)
        self.assertEqual(str(record), 'event=refused sender="" text="no, not you" code=553')

    def test_what_is_not_known_is_left_out(self):
        self.assertEqual(str(Record(event="x", helo=None, size=0)), "event=x size=0")

    @settings(deadline=None, max_examples=500)
    @given(st.dictionaries(st.sampled_from(["event", "helo", "sender", "code", "text"]), VALUES))
    def test_a_line_is_taken_apart_into_what_it_was_made_of(self, values):
        pairs = split(str(Record(values)))
        self.assertEqual(pairs, [(name, text_of(value)) for name, value in values.items()])

    @settings(deadline=None, max_examples=200)
    @given(st.text(st.characters(max_codepoint=0x7F), max_size=16))
    def test_ascii_values_are_found_again(self, value):
        (_before, (_name, word), _after) = split(str(Record(event="a", helo=value, code=1)))
        self.assertEqual(bytes_of(word).decode(), value)


class StderrObserverTests(SynchronousTestCase):
    """Lines for the log program of a supervisor."""

    def setUp(self):
        self.stream = StringIO()
        self.patch(sys, "__stderr__", self.stream)
        self.observer = stderr_observer()

    def logger(self, namespace="mvmtr.test"):
        return Logger(namespace, observer=self.observer)

    def test_a_record_is_one_line_without_a_date(self):
        logger = self.logger()
        logger.info("{record}", record=Record(event="connection", client=b"203.0.113.7"))
        self.assertEqual(self.stream.getvalue(), "mvmtr: event=connection client=203.0.113.7\n")

    def test_whatever_a_client_says_a_record_is_one_line(self):
        logger = self.logger()
        for value in NASTY:
            logger.info("{record}", record=Record(event="refused", argument=value, code=500))
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(len(lines), len(NASTY))
        for line in lines:
            names = [name for name, _word in split(line.removeprefix("mvmtr: "))]
            self.assertEqual(names, ["event", "argument", "code"])

    def test_of_others_only_what_matters_is_told(self):
        logger = self.logger("twisted.internet.tcp")
        for level in LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.critical:
            logger.emit(level, "at {name}", name=level.name)
        self.assertEqual(self.stream.getvalue(), "mvmtr: at warn\nmvmtr: at critical\n")

    def test_of_mvmtr_all_is_told(self):
        logger = self.logger()
        logger.info("one")
        logger.warn("two")
        self.assertEqual(self.stream.getvalue(), "mvmtr: one\nmvmtr: two\n")

    def test_events_in_the_old_form_are_filtered_as_well(self):
        self.observer({"message": ("old",), "isError": 0, "format": "old"})
        self.assertEqual(self.stream.getvalue(), "")

    def test_a_failure_is_told_with_its_traceback(self):
        logger = self.logger()
        try:
            raise ZeroDivisionError("of course")
        except ZeroDivisionError:
            logger.failure("check {check} failed", Failure(), check="mine")
        lines = self.stream.getvalue().splitlines()
        self.assertEqual(lines[0], "mvmtr: check mine failed")
        self.assertIn("ZeroDivisionError: of course", lines[-1])


class TwistdObserverTests(SynchronousTestCase):
    """twistd's own log, less one line."""

    def setUp(self):
        self.stream = StringIO()
        self.patch(sys, "stdout", self.stream)
        self.patch(log, "_twistd", {})
        log.use_twistd({"nodaemon": True, "logfile": None})
        self.observer = twistd_observer()

    def test_what_is_logged_is_written_where_twistd_writes(self):
        Logger("mvmtr.test", observer=self.observer).info("{record}", record=Record(event="x"))
        Logger("twisted.scripts", observer=self.observer).info("ready")
        text = self.stream.getvalue()
        self.assertIn("] event=x\n", text)
        self.assertIn("] ready\n", text)

    def test_that_the_plugin_cache_cannot_be_written_is_not_told(self):
        seen = []
        globalLogPublisher.addObserver(seen.append)
        self.addCleanup(globalLogPublisher.removeObserver, seen.append)
        self.load_plugins_that_cannot_be_cached()
        events = [event for event in seen if "plugin cache" in str(event.get("format"))]
        self.assertTrue(events, "twisted has nothing to complain of")
        for event in events:
            self.observer(event)
        self.assertEqual(self.stream.getvalue(), "")

    def test_a_client_can_not_keep_itself_out_of_the_log(self):
        record = Record(event="refused", helo=b"Unable to write to plugin cache")
        Logger(namespace="mvmtr.x", observer=self.observer).info("{record}", record=record)
        self.assertIn("plugin cache", self.stream.getvalue())

    def test_questions_to_the_dns_are_not_told(self):
        seen = []
        globalLogPublisher.addObserver(seen.append)
        self.addCleanup(globalLogPublisher.removeObserver, seen.append)
        port = Port(0, DNSDatagramProtocol(None), "127.0.0.1", reactor=MemoryReactorClock())
        port.addReader = port.removeReader = lambda: None
        port.startListening()
        port.connectionLost()
        self.assertEqual(len(seen), 4)
        for event in seen:
            self.observer(event)
        self.assertEqual(self.stream.getvalue(), "")

    def load_plugins_that_cannot_be_cached(self):
        """Have a folder in the place of the cache, which not even root can write."""
        path = folder(self)
        plugins = path / "mvmtr_test_plugins"
        (plugins / "dropin.cache" / "in-the-way").mkdir(parents=True)
        (plugins / "__init__.py").write_text("")
        (plugins / "one.py").write_text("")
        self.patch(sys, "path", [str(path), *sys.path])
        self.addCleanup(sys.modules.pop, "mvmtr_test_plugins", None)
        self.addCleanup(sys.modules.pop, "mvmtr_test_plugins.one", None)
        getCache(__import__("mvmtr_test_plugins"))
        self.flushLoggedErrors()
