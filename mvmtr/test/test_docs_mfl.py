"""Tests of the pages about MFL: their tables say what the code does."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.assemble import Assembly, Sources
from mvmtr.hooks.controls import specs
from mvmtr.mfl.check_sieve import NATIVE_COMMANDS, NATIVE_TESTS
from mvmtr.mfl.expressions import ASSIGNMENTS, PRECEDENCE
from mvmtr.mfl.parser import KEYWORDS, TYPES
from mvmtr.mfl.scope import ZERO
from mvmtr.mfl.signatures import HOOKS, builtins
from mvmtr.mfl.specs import Needs, registry
from mvmtr.session import Connection, Stage
from mvmtr.settings import Settings
from mvmtr.test.documentation import watch
from mvmtr.test.mfl_examples import talk_of
from mvmtr.test.pages import examples_of, table
from mvmtr.test.stand_ins import Says
from mvmtr.test.support import ROOT, control_folder, folder

# Installed alone, the package has no documentation to test.
skip = None if (ROOT / "docs").is_dir() else "there is no documentation here"

PAGE = "mfl-reference"
SHOWN = {
    Needs.NOTHING: "nothing",
    Needs.SESSION: "session",
    Needs.TRANSACTION: "envelope",
    Needs.MESSAGE: "message",
}
ABOUT = ("About the session", "About the message", "Look-ups", "Text, numbers, time", "The log")
ANSWERS = {"$accept", "$reject", "$defer", "$discard"}


def column(title, number=0):
    """The names in one column of a table."""
    return [row[number] for row in table(PAGE, title)]


def call_of(builtin):
    """A built-in function as the page writes it."""
    parameters = list(inspect.signature(builtin.function).parameters.values())
    shown = []
    for number, parameter in enumerate(parameters[1 + builtin.placed :]):
        types = sorted(builtin.signature.types_of(number), key=TYPES.index)
        text = f"{' or '.join(types)} {parameter.name}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            text = "…"
        elif parameter.default is not parameter.empty:
            text = f"[{text}]"
        shown.append(text)
    return f"{builtin.signature.result} {builtin.signature.name}({', '.join(shown)})"


def code():
    """The text of all examples of the page."""
    return "\n".join(example.text for example in examples_of(PAGE))


class TableTests(SynchronousTestCase):
    """Row by row."""

    def test_the_built_in_functions_are_those_of_the_code(self):
        rows = [row for title in ABOUT for row in table(PAGE, title)]
        wanted = {
            call_of(each): SHOWN[each.needs]
            for name, each in builtins().items()
            if name not in ANSWERS
        }
        self.assertEqual({row[0]: row[1] for row in rows}, wanted)
        self.assertEqual(len(rows), len(wanted))

    def test_the_answers_are_those_of_the_code(self):
        self.assertEqual(set(column("Answers")), {call_of(builtins()[name]) for name in ANSWERS})

    def test_the_hooks_are_those_of_the_code_and_of_the_stages(self):
        wanted = [
            [f"int {name}({', '.join(f'string {each}' for each in parameters)})", SHOWN[needs]]
            for name, (parameters, needs) in HOOKS.items()
        ]
        self.assertEqual([[row[0], row[2]] for row in table(PAGE, "Hooks")], wanted)
        self.assertEqual([name.removeprefix("$hook_") for name in HOOKS], list(Stage))

    def test_the_words_are_those_of_the_code(self):
        words = " ".join(column("Words of the language", 1)).split()
        self.assertEqual(sorted(words), sorted(KEYWORDS))

    def test_the_types_are_those_of_the_code(self):
        self.assertEqual(column("Types"), list(TYPES))
        zeros = dict(zip(column("Types"), column("Types", 2), strict=True))
        shown = {"int": ZERO["int"] == 0, "string": ZERO["string"] == b"", "list": not ZERO["list"]}
        self.assertEqual(shown, dict.fromkeys(shown, True))
        self.assertEqual([zeros[name] for name in shown], ["0", '""', "[]"])

    def test_the_operators_stand_in_their_order(self):
        rows = [row.split() for row in column("Operators")]
        self.assertEqual(rows[-1], list(ASSIGNMENTS))
        levels = {}
        for sign, level in PRECEDENCE.items():
            levels.setdefault(level, set()).add(sign)
        wanted = [levels[level] for level in sorted(levels, reverse=True)]
        self.assertEqual([set(row) for row in rows[2:-2]], wanted)

    def test_commands_and_tests_are_those_of_the_code(self):
        known = registry()
        listed = {word for row in column("Commands") for word in row.split()}
        self.assertEqual(listed, {*known.commands, *NATIVE_COMMANDS})
        self.assertEqual(set(column("Tests")), {*known.tests, *NATIVE_TESTS})
        for title, found in ("Commands", known.commands), ("Tests", known.tests):
            for name, needs, _meaning in table(PAGE, title):
                if name in found:
                    self.assertEqual(needs, "".join(found[name].capabilities[:1]), name)

    def test_the_extensions_are_those_of_the_code(self):
        extensions = registry().capabilities.items()
        useful = [name for name, each in sorted(extensions) if not each.refused]
        refused = [name for name, each in sorted(extensions) if each.refused]
        self.assertEqual(column("Extensions"), useful)
        self.assertEqual(column("Refused"), refused)

    def test_the_bounds_are_those_of_the_code(self):
        rows = {row[0]: row[1] for row in table(PAGE, "Bounds")}
        names = [name for name in specs() if name.startswith("smtp_server_mfl_")]
        names.remove("smtp_server_mfl_sieve")
        self.assertEqual(rows, {name: str(getattr(Settings(), name)) for name in names})

    def test_the_settings_of_extensions_are_those_that_the_code_asks_for(self):
        sources = (ROOT / "mvmtr/mfl/sieve").glob("*.py")
        text = "\n".join(source.read_text() for source in sources)
        for row in column("Settings of extensions"):
            for name in re.findall(r"\w+", row.replace(" and so on", "")):
                part = re.sub(r"^sieve_(spam|virus)test_", "", name).rstrip("0")
                self.assertIn(part, text)


class OtherPageTests(SynchronousTestCase):
    """What other pages say about the startup file."""

    def start(self, text):
        path = folder(self) / "mvmtr.mfl"
        path.write_text(text)
        return path

    def test_lines_of_hooks_have_the_fields_of_the_table(self):
        path = self.start('int $hook_helo(string n) { $log("hello"); return 1 / $length(""); }')
        records = watch(self)
        talk, _queue, _check = talk_of(path)
        self.assertEqual(talk.send(b"HELO c"), [220, 451])
        fields = set().union(*(record for record in records if record["event"] == "mfl"))
        listed = {row[0] for row in table("log", "Fields of mfl")}
        self.assertEqual(fields, {"event", "session", "client", *listed})

    def test_hooks_are_asked_in_the_place_that_the_page_says(self):
        path = self.start("int $hook_rcpt(string recipient) { return 0; }")
        control = control_folder(folder(self), {"rcpthosts": "ours.example"})
        sources = Sources(str(control), queue="discard:", checks=(Says(rcpt=None),))
        assembly = Assembly(replace(sources, start_file=str(path)), Clock())
        names = [check.name for check in assembly.configuration.policy.checks]
        self.assertEqual(names, ["own", "mfl", "rcpt_domains", "relay", "rcpthosts"])

    def test_the_startup_file_stands_between_the_command_line_and_databytes(self):
        path = self.start("control smtp_server_msgsize_max 15;")
        connection = Connection(environment={b"DATABYTES": b"20"})
        sources = Sources(None, queue="discard:", start_file=str(path))
        above = replace(sources, overrides={"smtp_server_msgsize_max": "10"})
        found = [
            Assembly(each, Clock()).for_connection(connection).settings.smtp_server_msgsize_max
            for each in (above, sources, replace(sources, start_file=None))
        ]
        self.assertEqual(found, [10, 15, 20])


class ExampleTests(SynchronousTestCase):
    """Nothing is without an example."""

    def assert_shown(self, names, pattern="{}"):
        text = code()
        missing = [
            name for name in names if not re.search(pattern.format(re.escape(name)), text, re.I)
        ]
        self.assertEqual(missing, [])

    def test_each_built_in_function_and_hook(self):
        self.assert_shown((*builtins(), *HOOKS), r"{}\(")

    def test_each_operator_and_word(self):
        self.assert_shown((*PRECEDENCE, *ASSIGNMENTS, "!", "~", "++", "--", "?"))
        self.assert_shown(KEYWORDS, r"(?<![\w$]){}\b")

    def test_each_command_test_and_tag(self):
        known = registry()
        self.assert_shown((*known.commands, *known.tests), r"(?<![\w$]){}\b")
        self.assert_shown((*NATIVE_COMMANDS, *NATIVE_TESTS), r"(?<![\w$]){}\b")
        specs = (*known.commands.values(), *known.tests.values())
        self.assert_shown({tag for spec in specs for tag in known.tags(spec)}, r":{}\b")

    def test_each_extension(self):
        useful = {name for name, each in registry().capabilities.items() if not each.refused}
        self.assert_shown(useful - {"comparator-i;ascii-casemap", "comparator-i;octet"}, '"{}"')
