"""Tests for the parsers: L{mvmtr.mfl.parser}, C{expressions}, C{sieve_parser}."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl import tree
from mvmtr.mfl.parser import parse


def statements(text, **options):
    parsed = parse(text.encode(), "f", **options)
    assert not parsed.problems, parsed.problems
    return parsed.tree.statements


def problems(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    found = parse(data, "f", **options).problems
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in found]


def kind(text):
    (statement,) = statements(text)
    return type(statement)


class TwoSides(SynchronousTestCase):
    def test_an_if_with_a_parenthesis_is_c_like_and_any_other_is_sieve(self):
        self.assertIs(tree.If, kind("if (true) { keep; }"))
        self.assertIs(tree.SieveIf, kind("if true { keep; }"))
        self.assertIs(tree.SieveIf, kind('IF Header :IS "a" "b" { keep; } ElsIf true { } else { }'))

    def test_commands_are_told_from_expressions_by_what_follows(self):
        for text in ("keep;", 'redirect :copy "x";', 'set "a" "b";', 'keep ["a"];', "a 1;"):
            self.assertIs(tree.Command, kind(text), text)
        for text in ("a = 1;", "a++;", "f();", "a[0] = b;", "a ? b : c;", "(a);", "a in b;"):
            self.assertIs(tree.ExpressionStatement, kind(text), text)

    def test_test_is_an_expression_before_a_parenthesis_and_a_command_before_a_string(self):
        self.assertIs(tree.ExpressionStatement, kind("test( true );"))
        (command,) = statements('test "name" { keep; }')
        self.assertEqual(("test", 1), (command.name, len(command.block.statements)))

    def test_c_like_statements_stand_in_blocks_of_sieve(self):
        (found,) = statements("if true { if (1) keep; }")
        (inner,) = found.branches[0][1].statements
        self.assertIsInstance(inner, tree.If)

    def test_a_sieve_script_has_no_c_like_side(self):
        self.assertEqual([], problems("if true { return; } int;", sieve_only=True))
        self.assertEqual(
            ["1:4 a Sieve test should stand here, not ("], problems("if (1) ;", sieve_only=True)
        )
        self.assertEqual(
            ["1:1 a Sieve command should stand here, not ;"], problems(";", sieve_only=True)
        )

    def test_multi_line_text_stands_on_both_sides(self):
        (command,) = statements("reject text:\na\\n\n.\n;")
        self.assertEqual((tree.String(b"a\\n\n"),), command.arguments)
        (declaration,) = statements("string s = text:\na\\n\n.\n;")
        self.assertEqual(tree.String(b"a\\n\n"), declaration.names[0].value)

    def test_escapes_are_those_of_the_side(self):
        (command,) = statements('reject "a\\n";')
        self.assertEqual((tree.String(b"an"),), command.arguments)
        (declaration,) = statements('string s = "a\\n";')
        self.assertEqual(tree.String(b"a\n"), declaration.names[0].value)


class Trees(SynchronousTestCase):
    def test_tests_and_their_arguments(self):
        (found,) = statements('if anyof (not size :Over 2K, header ["a", "b"] "c") {}')
        self.assertEqual(
            tree.Test(
                "anyof",
                (),
                (
                    tree.Test(
                        "not", (), (tree.Test("size", (tree.Tag("over"), tree.Number(2048))),)
                    ),
                    tree.Test(
                        "header",
                        (tree.Strings((tree.String(b"a"), tree.String(b"b"))), tree.String(b"c")),
                    ),
                ),
                True,
            ),
            found.branches[0][0],
        )

    def test_trees_are_equal_whatever_their_places(self):
        self.assertEqual(statements("a = 1;"), statements("\n a=1 ;"))
        self.assertNotEqual(statements("a = 1;"), statements("a = 2;"))

    def test_places_are_those_of_operators_and_names(self):
        (found,) = statements("x = f( 1 ) + y;")
        assignment = found.expression
        self.assertEqual((1, 3), assignment.place[1:])
        self.assertEqual((1, 12), assignment.value.place[1:])
        self.assertEqual((1, 14), assignment.value.right.place[1:])

    def test_a_function_with_its_parameters(self):
        (found,) = statements("list f( int a, string b, ) { }")
        self.assertEqual(("list", "f"), (found.type, found.name))
        self.assertEqual(
            (tree.Parameter("int", "a"), tree.Parameter("string", "b")), found.parameters
        )

    def test_exclamation_mark_and_tilde_may_touch(self):
        self.assertEqual(statements("a = !(~b);"), statements("a = !~b;"))


class Precedence(SynchronousTestCase):
    # From the loosest to the tightest, as the C standard has it; MFL's own stand with those
    # that they resemble.
    TABLE = (
        ("||",),
        ("&&",),
        ("|",),
        ("^",),
        ("&",),
        ("==", "!=", "=~", "!~"),
        ("<", "<=", ">", ">=", "in"),
        ("<<", ">>"),
        ("+", "-"),
        ("*", "/", "%"),
    )

    def test_of_two_operators_the_tighter_or_else_the_left_one_is_first(self):
        levels = {sign: number for number, signs in enumerate(self.TABLE) for sign in signs}
        for first, one in levels.items():
            for second, other in levels.items():
                text = f"x = a {first} b {second} c;"
                grouped = f"(a {first} b) {second} c"
                if other > one:
                    grouped = f"a {first} (b {second} c)"
                if first == second and first in ("||", "&&"):
                    continue
                self.assertEqual(statements(f"x = {grouped};"), statements(text), text)

    def test_those_of_one_and_three_operands(self):
        for text, grouped in (
            ("-a + b", "(-a) + b"),
            ("!a == b", "(!a) == b"),
            ("-a[0]", "-(a[0])"),
            ("~a++", "~(a++)"),
            ("a || b ? c : d", "(a || b) ? c : d"),
            ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
            ("a ? b = 1 : c", "a ? (b = 1) : c"),
            ("a = b += c ? d : e", "a = (b += (c ? d : e))"),
            ("a - b - c", "(a - b) - c"),
        ):
            self.assertEqual(statements(f"x = {grouped};"), statements(f"x = {text};"), text)

    def test_equal_ones_of_and_and_or_stand_in_one_node(self):
        (found,) = statements("x = a || b || c && d && e;")
        node = found.expression.value
        self.assertEqual(("||", 3), (node.operator, len(node.operands)))
        self.assertEqual(("&&", 3), (node.operands[2].operator, len(node.operands[2].operands)))


class Problems(SynchronousTestCase):
    def test_everything_is_told_at_once(self):
        text = "int x = 3\nint f( foo x ) { }\nx = (1+);\nif (a) { x = 1; }\n  b; else;"
        self.assertEqual(
            [
                "1:10 ; is missing after this declaration",
                "2:8 foo is not int, string or list",
                "3:8 a value should stand here, not )",
                "5:6 this else has no if",
            ],
            problems(text),
        )

    def test_what_is_missing_is_told_where_it_should_be(self):
        self.assertEqual(["1:5 ; is missing after keep and its arguments"], problems("keep"))
        self.assertEqual(["1:9 ) is missing after the condition"], problems("while (1 { }"))
        self.assertEqual(["1:6 ( is missing after while"], problems("while 1 { }"))
        self.assertEqual(["1:8 { is missing after the test"], problems("if true; "))
        self.assertEqual(["1:16 { is missing after else"], problems("if true {} else;"))
        self.assertEqual(["1:3 ( is missing after $x"], problems("$x;"))

    def test_a_block_that_is_never_closed_is_told_once(self):
        self.assertEqual(["2:1 this { is never closed"], problems("if true {\n{\nkeep; "))
        found = problems("switch (1) { case 1: keep;")
        self.assertEqual(["1:1 this switch is never closed"], found)
        self.assertEqual(["1:1 this } closes nothing"], problems("}"))

    def test_words_of_the_language_are_no_names(self):
        self.assertEqual(["1:5 while is a word of the language"], problems("int while;"))
        self.assertEqual(
            ["1:5 only built-in functions and hooks begin with $"], problems("int $x;")
        )
        self.assertEqual(["1:1 a variable can't be void"], problems("void x;"))

    def test_only_variables_can_be_assigned_to(self):
        for text in ("1 = 2;", "f() = 2;", "f()[0] = 2;", "a + b = 3;", "++1;", "a++ ++;"):
            self.assertIn("needs a variable", problems(text)[0])

    def test_a_tag_follows_its_colon_at_once(self):
        found = problems('if header : is "a" "b" { }')
        self.assertEqual(["1:11 the name of a tag should follow : at once"], found)

    def test_else_if_is_written_elsif_in_sieve(self):
        found = problems("if true { } else if false { }")
        self.assertEqual(["1:18 a further branch of this if begins with elsif"], found)

    def test_escapes_that_there_are_not_are_told(self):
        self.assertEqual(
            ["1:5 there is no escape \\q; a backslash is written \\\\"], problems('x = "\\q";')
        )

    def test_what_could_not_be_read_may_have_declared_its_names(self):
        parsed = parse(b"int abc = = 3; keep;", "f")
        self.assertIn("abc", parsed.unsure)
        self.assertEqual(1, len(parsed.tree.statements))

    def test_deep_nesting_is_refused(self):
        for text in (
            "x = " + "(" * 200 + "1" + ")" * 200 + ";",
            "x = " + "!" * 200 + "1;",
            "{" * 200 + "}" * 200,
            "if true {" * 200 + "}" * 200,
            "x = " + "+".join("1" * 500) + ";",
            "if " + "not " * 200 + "true {}",
            "if " + "anyof(" * 200 + "true" + ")" * 200 + "{}",
            "x = a" + "[0]" * 500 + ";",
            "x = " + "1 ? 2 : " * 500 + "3;",
            "x = " * 500 + "3;",
        ):
            self.assertIn("nested too deeply", " ".join(problems(text)), text[:20])

    def test_long_chains_of_and_and_else_if_are_fine(self):
        self.assertEqual([], problems("x = " + " && ".join(["a"] * 1000) + ";"))
        self.assertEqual([], problems("if (a) b();" + " else if (a) b();" * 1000))

    def test_a_file_of_nothing_but_mistakes_is_given_up(self):
        self.assertEqual(100, len(problems("= ;\n" * 1000)))


WORDS = (
    'if ( ) { } [ ] ; , : = + - ! ~ ? "a" text: 1 2K a $b int string list void while for do break '
    "continue return switch case default else elsif control include test in header :is keep not "
    "anyof require stop # /* */ // \n & | << == =~"
)
PIECES = st.sampled_from(WORDS.split(" "))


class Anything(SynchronousTestCase):
    @settings(deadline=None, max_examples=300)
    @given(st.lists(PIECES, max_size=40).map(" ".join), st.booleans())
    def test_random_words_give_a_tree_or_problems(self, text, sieve_only):
        parse(text.encode(), "f", sieve_only)

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=100), st.booleans())
    def test_random_bytes_give_a_tree_or_problems(self, data, sieve_only):
        parse(data, "f", sieve_only)
