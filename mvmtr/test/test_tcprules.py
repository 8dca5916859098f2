"""Tests for L{mvmtr.compat.tcprules}, against the real C{tcprules} and C{tcprulescheck}."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import tempfile
from itertools import product
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.compat.controlfile import ControlError
from mvmtr.compat.tcprules import Rule, TcpRules, keys_for, parse_rule
from mvmtr.test.support import folder
from mvmtr.test.test_cdb import HEADER, make_cdb

# The keys that tcprulescheck of ucspi-tcp-ipv6 0.88 (Debian 1:0.88-7) looks up for each of
# these addresses, in their order, and after them the empty key. It can't be installed beside
# ucspi-tcp, which knows no networks of IPv6.
KEYS_OF_IPV6 = """\
2001:db8::7 2001:db8:: 2001:db8: 2001:
2001:db8:1:2::3 2001:db8:1:2:: 2001:db8:1:2: 2001:db8:1: 2001:db8: 2001:
fe80::1%eth0 fe80:: fe80:
::1 :: :
::ffff:1.2.3.4 ::ffff:1.2.3. ::ffff:1.2. ::ffff:1. ::ffff: :: :
1.2.3.4 1.2.3. 1.2. 1.
"""

# What tcprules of ucspi-tcp-ipv6 0.88 makes of 2001:db8::7:allow,K="host" and so on (the
# last colon before allow or deny ends the address), and the rules that its tcprulescheck
# finds there, or the empty one.
RULES_OF_IPV6 = [
    (b"2001:db8::7", b"+K=host\0"),
    (b"2001:db8::", b"+K=net\0"),
    (b"2001:db8:", b"D\0"),
    (b"2001:db8:1", b""),
    (b"fe80:", b"+K=link\0"),
    (b"::1", b"D\0"),
    (b"::ffff:10.", b"+K=mapped\0"),
    (b"::ffff:", b"D\0"),
    (b"10.", b"+K=v4\0"),
    (b"joe@2001:db8::7", b"+K=joe\0"),
    (b"2001:db8::/32", b"D\0"),
    (b"[::1]", b"D\0"),
    (b"", b"+K=other\0"),
]
FOUND_OF_IPV6 = """\
2001:db8::7 2001:db8::7
2001:db8::8 2001:db8::
2001:db8:0:1::7 2001:db8:
2001:db8:1:2::3 2001:db8:
2001:db80::1
2001:DB8::7
fe80::1 fe80:
fe80:1::1 fe80:
fe800::1
::1 ::1
::2
::
::ffff:10.2.3.4 ::ffff:10.
::ffff:11.2.3.4 ::ffff:
::ffff:a01:203 ::ffff:
10.2.3.4 10.
"""

RULES = b"""\
# overlapping ones, with hosts, users, ranges and variables
joe@1.2.3.4:allow,WHO="joe",RELAYCLIENT=""
joe@=mx.a.example:allow,WHO="joe by name"
@1.2.3.9:deny
1.2.3.4-7:allow,DATABYTES="100"
1.2.3.7:deny
=mx.a.example:allow,QUOTES=/"a" 'b'/,EQUAL="=a=b=",COLON=":deny,"
1.2.3.:deny,WHY="net",HOW="D"
1.2.:allow,TWICE="1",TWICE="2"
10.0-1.:deny
10.0:allow,NEVER="1"
=.a.example:allow,HOST="a"
=.example:deny
=:allow,KNOWN="",="no name"
20.:allow
"""
DEFAULT = b':allow,NOBODY="asked"\n'

IPS = [b"1.2.3.%d" % number for number in (3, 4, 5, 7, 8, 9)]
IPS += [b"1.2.0.1", b"1.3.0.1", b"1.22.3.4", b"10.0.0.1", b"10.1.2.3", b"10.2.0.1", b"10.0"]
IPS += [b"20.1.", b"2001:db8::7", b""]
HOSTS = [
    None,
    b"",
    b"mx.a.example",
    b"o.a.example",
    b"a.example",
    b"MX.A.example",
    b"x",
    b".x.example",
]
INFOS = [None, b"", b"joe", b"jo"]


def compiled(path, text):
    """A file that tcprules has made of rules."""
    subprocess.run(["tcprules", str(path), f"{path}.tmp"], input=text, check=True, timeout=60)
    return TcpRules(str(path))


def checked(rules, ip, host, info):
    """
    What tcprulescheck says: key, whether it denies, variables. These it does not tell of a
    rule that denies.
    """
    told = {"TCPREMOTEIP": ip, "TCPREMOTEHOST": host, "TCPREMOTEINFO": info}
    output = subprocess.run(
        ["tcprulescheck", rules.path],
        env={name: value for name, value in told.items() if value is not None},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout
    first, *settings, last = output.splitlines()
    if first == b"default:":
        assert (settings, last) == ([], b"allow connection"), output
        return None
    variables = {}
    for line in settings:
        name, _equals, value = line.removeprefix(b"set environment variable ").partition(b"=")
        variables[name] = value
    deny = {b"deny connection": True, b"allow connection": False}[last]
    return first.removeprefix(b"rule ").removesuffix(b":"), deny, variables


def found(rules, ip, host, info):
    """The same by this package."""
    rule = rules.find(ip, host, info)
    if rule is None:
        return None
    return rule.key, rule.deny, {} if rule.deny else rule.variables


class KeyTests(SynchronousTestCase):
    """What is looked up, in which order."""

    def test_all_eight_kinds_of_keys_come_in_the_order_of_the_manual(self):
        self.assertEqual(
            list(keys_for(b"1.2.3.4", b"mx.a.example", b"joe")),
            [
                *(b"joe@1.2.3.4", b"joe@=mx.a.example", b"1.2.3.4", b"=mx.a.example"),
                *(b"1.2.3.", b"1.2.", b"1.", b"=.a.example", b"=.example", b"=", b""),
            ],
        )

    def test_networks_of_ipv6_end_in_a_colon(self):
        for line in KEYS_OF_IPV6.splitlines():
            keys = [*line.encode().split(), b""]
            # A network that is the address as well is looked up twice, which nobody notices.
            self.assertEqual(list(dict.fromkeys(keys_for(keys[0], None, None))), keys)

    def test_networks_of_ipv6_stand_before_the_suffixes_of_the_host(self):
        self.assertEqual(
            list(keys_for(b"2001:db8::7", b"b.example", b"joe")),
            [
                *(b"joe@2001:db8::7", b"joe@=b.example", b"2001:db8::7", b"=b.example"),
                *(b"2001:db8::", b"2001:db8:", b"2001:", b"=.example", b"=", b""),
            ],
        )

    def test_the_real_program_looks_up_these_keys_and_no_others(self):
        path = folder(self) / "rules.cdb"
        for client in (
            (b"1.2.3.4", b"a.b.c", b"j"),
            (b"1.2.3.4", b".a..b.", b""),
            (b"1.", b"", None),
        ):
            keys = list(dict.fromkeys(keys_for(*client)))
            parts = {
                part[start:end]
                for part in client[:2]
                for start, end in product(range(len(part) + 1), repeat=2)
            }
            parts |= {b"=" + part for part in parts}
            decoys = {*parts, *((client[2] or b"j") + b"@" + part for part in parts)} - {*keys}
            while keys:
                # Once a key is found it is taken out, and the next one shows.
                make_cdb(path, [(key, b"") for key in [*decoys, *keys]])
                self.assertEqual(checked(TcpRules(str(path)), *client), (keys.pop(0), False, {}))
            make_cdb(path, [(key, b"") for key in decoys])
            self.assertIsNone(checked(TcpRules(str(path)), *client))


class FindTests(SynchronousTestCase):
    """The rule that tcprulescheck finds is found."""

    def setUp(self):
        self.path = folder(self) / "rules.cdb"

    def test_overlapping_rules_decide_as_for_the_real_program(self):
        for text in (RULES, RULES + DEFAULT):
            rules = compiled(self.path, text)
            keys = set()
            for client in product(IPS, HOSTS, INFOS):
                answer = checked(rules, *client)
                self.assertEqual(found(rules, *client), answer, client)
                keys.add(answer and answer[0])
            # None of the rules stood there for nothing, but for one without its last dot.
            unused = {rule.key for rule in rules.rules()} - keys
            self.assertEqual(unused, {b"1.2.3.6"})
            self.assertEqual(None in keys, text is RULES)

    def test_a_file_without_rules_lets_everybody_in(self):
        rules = compiled(self.path, b"# nothing\n\n")
        self.assertIsNone(rules.find(b"1.2.3.4", b"a.example", b"joe"))
        self.assertIsNone(checked(rules, b"1.2.3.4", b"a.example", b"joe"))
        self.assertEqual(list(rules.rules()), [])

    def test_rules_for_ipv6_are_found_as_by_the_tcpservers_that_know_it(self):
        rules = TcpRules(str(make_cdb(self.path, RULES_OF_IPV6)))
        for line in FOUND_OF_IPV6.splitlines():
            ip, key = [*line.encode().split(), b""][:2]
            rule = rules.find(ip, None, None)
            self.assertEqual(rule, parse_rule(key, dict(RULES_OF_IPV6)[key]), ip)
        rule = rules.find(b"2001:db8::7", None, b"joe")
        self.assertEqual(rule, Rule(b"joe@2001:db8::7", False, {b"K": b"joe"}))

    VALUES = st.text("ab=,:D+@ \"'/", max_size=6)
    VARIABLES = st.lists(st.tuples(st.sampled_from(["A", "B", "D", ""]), VALUES), max_size=3)
    IP_RULES = ["1.2.3.4", "1.2.3.3-5", "1.2.3.", "1.2.", "1.1-2.", "1.2", "1.", "", ""]
    HOST_RULES = ["=a.b", "=.b", "=b", "=", "j@1.2.3.4", "j@=a.b", "@1.2.3.4"]
    ADDRESSES = st.sampled_from([*IP_RULES, *HOST_RULES])
    CLIENTS = st.tuples(
        st.sampled_from([b"1.2.3.4", b"1.2.3.5", b"1.2.4.4", b"1.22.3.4", b"2.2.3.4"]),
        st.sampled_from([None, b"a.b", b"b", b"x.a.b", b""]),
        st.sampled_from([None, b"j", b""]),
    )

    @settings(deadline=None, max_examples=25)
    @given(
        st.lists(st.tuples(ADDRESSES, st.booleans(), VARIABLES), max_size=6),
        st.lists(CLIENTS, min_size=1, max_size=5),
    )
    def test_any_rules_decide_as_for_the_real_program(self, written, clients):
        lines = []
        for address, deny, variables in written:
            values = "".join(f",{name}=#{value}#" for name, value in variables)
            lines.append(f"{address}:{'deny' if deny else 'allow'}{values}\n")
        with tempfile.TemporaryDirectory() as home:
            rules = compiled(Path(home, "rules.cdb"), "".join(lines).encode())
            for client in clients:
                self.assertEqual(found(rules, *client), checked(rules, *client), (lines, client))


class RuleTests(SynchronousTestCase):
    """What stands in a rule."""

    def setUp(self):
        self.path = folder(self) / "rules.cdb"

    def test_tcprules_writes_what_is_read(self):
        text = b"""\
1.2.3.4-5:deny,A="x=y",B=/"q"/
10.0-1.:allow,A="",A="2"
:deny
:allow
"""
        both = {b"A": b"x=y", b"B": b'"q"'}
        self.assertEqual(
            list(compiled(self.path, text).rules()),
            [
                Rule(b"1.2.3.4", True, both),
                Rule(b"1.2.3.5", True, both),
                Rule(b"10.0.", False, {b"A": b"2"}),
                Rule(b"10.1.", False, {b"A": b"2"}),
                Rule(b"", True, {}),
                Rule(b"", False, {}),
            ],
        )
        self.assertIs(TcpRules(str(self.path)).find(b"9.9.9.9", None, None).deny, True)

    def test_a_missing_file_is_an_error(self):
        error = self.assertRaises(ControlError, TcpRules, str(self.path))
        self.assertEqual(str(error), f"{self.path}: No such file or directory")

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=12), st.lists(st.sampled_from(b"D+A=x\0"), max_size=30).map(bytes))
    def test_reading_a_rule_never_fails(self, key, data):
        rule = parse_rule(key, data)
        self.assertEqual(rule.key, key)
        self.assertEqual(rule.deny, b"\0D" in b"\0" + data[: data.rfind(b"\0") + 1])
        for name, value in rule.variables.items():
            self.assertIn(b"\0+" + name + b"=" + value + b"\0", b"\0" + data)


class DamageTests(SynchronousTestCase):
    """A damaged file is an error, whatever the damage, and nothing goes round for ever."""

    def setUp(self):
        self.path = folder(self) / "rules.cdb"
        compiled(self.path, RULES)
        self.whole = self.path.read_bytes()
        self.count = len(list(TcpRules(str(self.path)).rules()))

        def expired(_signal, _frame):
            raise AssertionError("it goes round for ever")

        previous = signal.signal(signal.SIGALRM, expired)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        self.addCleanup(signal.alarm, 0)
        signal.alarm(120)

    def rules(self, content):
        self.path.write_bytes(content)
        return TcpRules(str(self.path))

    def assertDamaged(self, content):
        error = self.assertRaises(ControlError, self.rules, content)
        self.assertRegex(str(error), f"^{self.path}: damaged: ")

    def test_a_file_that_is_cut_short_anywhere_is_damaged(self):
        for size in {*range(0, len(self.whole), 11), HEADER - 1, HEADER, len(self.whole) - 1}:
            self.assertDamaged(self.whole[:size])

    def test_a_file_that_is_cut_short_while_it_is_read_is_damaged(self):
        records_end = min(struct.unpack("<512L", self.whole[:HEADER])[::2])
        for size in {*range(HEADER, records_end, 9), records_end - 1}:
            rules = self.rules(self.whole).rules()
            next(rules)
            os.truncate(self.path, size)
            self.assertRaises(ControlError, list, rules)

    def test_a_record_that_reaches_into_the_tables_is_damaged(self):
        for lengths in ((0xFFFFFFFF, 0), (0, 0xFFFFFFFF), (0, len(self.whole) - HEADER - 8)):
            record = struct.pack("<LL", *lengths)
            self.assertDamaged(self.whole[:HEADER] + record + self.whole[HEADER + 8 :])

    def test_tables_that_lie_in_the_header_are_damaged(self):
        self.assertDamaged(struct.pack("<LL", 0, 2) * 256 + self.whole[HEADER:])

    def test_empty_tables_may_stand_anywhere(self):
        words = struct.unpack("<512L", self.whole[:HEADER])
        tables = zip(words[::2], words[1::2], strict=True)
        header = (struct.pack("<LL", start if slots else 0, slots) for start, slots in tables)
        rules = self.rules(b"".join(header) + self.whole[HEADER:]).rules()
        self.assertEqual(len(list(rules)), self.count)

    def test_a_file_that_is_damaged_later_is_an_error_when_a_client_is_looked_up(self):
        rules = self.rules(self.whole)
        os.truncate(self.path, HEADER)
        self.assertRaises(ControlError, rules.find, b"1.2.3.4", None, None)

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), min_size=1, max_size=8))
    def test_any_damage_is_an_error_or_ends(self, damage):
        content = bytearray(self.whole)
        for position, byte in damage:
            content[position % len(content)] = byte
        try:
            rules = self.rules(bytes(content))
            self.assertLessEqual(len(list(rules.rules())), len(content) // 8)
            rules.find(b"1.2.3.4", b"mx.a.example", b"joe")
        except ControlError as error:
            self.assertIn("damaged", str(error))

    def test_rules_and_look_ups_do_not_disturb_each_other(self):
        rules = self.rules(self.whole)
        keys = []
        for rule in rules.rules():
            self.assertEqual(rules.find(b"1.2.3.7", None, None).key, b"1.2.3.7")
            keys.append(rule.key)
        self.assertEqual((len(keys), keys[-1]), (self.count, b"20."))
