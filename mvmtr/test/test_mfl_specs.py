"""Tests for L{mvmtr.mfl.specs}: what an extension can bring."""

from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.specs import Argument, CommandSpec, Extension, Kind, Needs, Tag, TestSpec, registry
from mvmtr.test.mfl.running import call, program, wrong


def logs(use):
    """A command that logs what it was given."""

    def run(run, values):
        words = [use.name.encode()]
        for name, value in (*use.tags.items(), *use.arguments.items()):
            words.append(b"%s=%r" % (name.encode(), value.get(values) if value else None))
        run.host.log(b" ".join(words), use.place)

    return run


def attempt(use):
    @contextmanager
    def block():
        try:
            yield
        except RunError as error:
            log.append(str(error.message))

    log = attempt.log = []
    return lambda run, values: block()


async def _later(run, values):
    return await run.host.found["later"] == b"yes"


class Soon:
    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from ()
        return self.value


def check_even(use):
    number = use.arguments["number"].constant
    if number % 2:
        use.problem(f"{number} is odd", use.arguments["number"].place)


def refuse(use):
    raise ValueError("not like this")


ANY = Needs.NOTHING
EXTENSION = Extension(
    ("fancy", "fancier"),
    implies=("copy",),
    tests=(
        TestSpec("later", lambda use: _later, capabilities=("fancy",), needs=ANY, waits=True),
        TestSpec("never", refuse, needs=ANY),
    ),
    commands=(
        CommandSpec(
            "show",
            logs,
            (
                Argument("first", Kind.STRING, optional=True),
                Argument("items", Kind.STRINGS),
                Argument("number", Kind.NUMBER, optional=True),
            ),
            (Tag("plain"), Tag("sized", kind=Kind.NUMBER, constant=True)),
            families=("colours",),
            needs=ANY,
        ),
        CommandSpec("attempt", attempt, needs=ANY, block=True),
        CommandSpec("even", logs, (Argument("number", Kind.NUMBER),), check=check_even, needs=ANY),
        CommandSpec(
            "double",
            lambda use: lambda run, values: use.arguments["value"].get(values) * 2,
            (Argument("into", Kind.STRING, constant=True), Argument("value", Kind.STRING)),
            needs=ANY,
            assigns="into",
        ),
    ),
    tags=(
        Tag("red", group="colour", family="colours", kind=Kind.STRING),
        Tag("blue", group="colour", family="colours", capabilities=("fancier",)),
    ),
    strings=lambda text: text.replace(b"%n", b"\n"),
)
SENSELESS = Extension(("late",), refused="it is too early", also_refused=("deliver",))
EXTRA = {"extensions": (EXTENSION, SENSELESS)}


class Extensions(SynchronousTestCase):
    def logged(self, source, before='require ["fancy", "fancier", "variables"];'):
        the_program = program(before + source, **EXTRA)
        return [text for text, _place in call(the_program)[1].logged]

    def test_arguments_and_tags_come_as_they_are_stated(self):
        self.assertEqual(
            [
                b"show plain=None sized=1024 red=b'r' items=(b'a',)",
                b"show blue=None first=b'a' items=(b'b', b'c') number=5",
                b"show first=b'a' items=(b'b',)",
            ],
            self.logged('show :plain :sized 1K :Red "r" "a"; show :BLUE "a" ["b", "c"] 5;')
            + self.logged('show "a" "b";'),
        )

    def test_variables_come_with_each_call(self):
        source = 'set "v" "x"; show :red "${v}" "<${v}>" ["${v}", "y", "${v}z"];'
        self.assertEqual(
            [b"show red=b'x' first=b'<x>' items=(b'x', b'y', b'xz')"], self.logged(source)
        )

    def test_strings_are_changed_where_the_capability_is_required(self):
        self.assertEqual([b"show items=(b'a\\nb',)"], self.logged('show "a%nb";'))
        self.assertEqual([b"show items=(b'a%nb',)"], self.logged('show "a%nb";', ""))

    def test_a_command_can_set_a_variable(self):
        self.assertEqual([b"show items=(b'abab',)"], self.logged('double "v" "ab"; show "${V}";'))

    def test_a_command_can_run_its_block_and_go_on_after_an_error(self):
        source = 'attempt { show "a"; error "oops"; show "b"; } show "c";'
        before = 'require ["fancy", "ihave"];'
        self.assertEqual(
            [b"show items=(b'a',)", b"show items=(b'c',)"], self.logged(source, before)
        )
        self.assertEqual(["oops"], attempt.log)

    def test_a_test_can_wait(self):
        source = 'require "fancy"; if anyof (false, later) { discard; }'
        for answer, wanted in ((b"yes", "discard"), (b"no", None)):
            outcome, _host = call(program(source, **EXTRA), found={"later": Soon(answer)})
            self.assertEqual(wanted, outcome.verdict and outcome.verdict.kind)

    def test_what_is_implied_is_required_too(self):
        self.assertEqual([], wrong('require "fancy"; redirect :copy "a@b";', **EXTRA))

    def test_what_is_wrong_is_told(self):
        for source, message in (
            ('show :sized "a" "b";', "1:13 :sized should be a number"),
            ("show :sized;", "1:6 :sized should be a number"),
            ('show :blue "b";', '1:6 :blue needs require "fancier";'),
            ('show :red "a" :blue "b";', "1:15 :blue and :red exclude each other"),
            ("even 3;", "1:6 3 is odd"),
            ("even;", "1:1 even needs number"),
            ("even 2 4;", "1:1 even takes only number"),
            ("show;", "1:1 show needs first, items, number"),
            ("if never { }", "1:4 never: not like this"),
            ("attempt;", "1:1 attempt needs a block in { }"),
            ("even 2 { }", "1:1 even takes no block"),
            ('require "late";', '1:9 "late" makes no sense here: it is too early'),
            ('deliver "x";', "1:1 deliver makes no sense here: it is too early"),
            ("if later { }", '1:4 later needs require "fancy";'),
        ):
            self.assertEqual(message, wrong(source, **EXTRA)[0])

    def test_extensions_for_one_time_are_gone_the_next_time(self):
        self.assertNotIn("show", registry().commands)
        self.assertEqual(["1:1 there is no command show"], wrong('show "a";'))
