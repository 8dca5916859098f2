"""
The parsers against a second opinion: parsers that lark makes of grammars.

The grammar of Sieve is that of RFC 5228, section 8.2; the one of expressions is C's.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lark import Lark, Transformer, v_args
from lark.exceptions import LarkError
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl import lexer, tree
from mvmtr.mfl.parser import parse
from mvmtr.mfl.printer import expression
from mvmtr.test.mfl import trees

SIEVE = Lark(
    r"""
    start: command*
    command: IDENTIFIER arguments (";" | block)
    block: "{" command* "}"
    arguments: argument* (test | tests)?
    argument: string | strings | NUMBER | TAG
    test: IDENTIFIER arguments
    tests: "(" test ("," test)* ")"
    strings: "[" string ("," string)* "]"
    string: QUOTED | MULTILINE
    IDENTIFIER: /[A-Za-z_][A-Za-z0-9_]*(?!\w*:[ \t]*(#[^\n]*)?\n)/
    TAG: /:[A-Za-z_][A-Za-z0-9_]*/
    NUMBER: /[0-9]+[KMGkmg]?(?!\w)/
    QUOTED: /"([^"\\]|\\.)*"/s
    MULTILINE.2: /text:[ \t]*(#[^\n]*)?\n(.*\n)*?\.\n/i
    %ignore /[ \t\n]+/
    %ignore /#[^\n]*/
    %ignore /\/\*.*?\*\//s
    """,
    parser="lalr",
)

EXPRESSIONS = Lark(
    r"""
    ?start: expression
    ?expression: choice | postfix ASSIGN expression -> assignment
    ?choice: or | or "?" expression ":" choice -> choice
    ?or: and | and ("||" and)+ -> any_of
    ?and: bit_or | bit_or ("&&" bit_or)+ -> all_of
    ?bit_or: bit_xor | bit_or BIT_OR bit_xor -> binary
    ?bit_xor: bit_and | bit_xor BIT_XOR bit_and -> binary
    ?bit_and: equal | bit_and BIT_AND equal -> binary
    ?equal: order | equal (EQUAL | NO_MATCH) order -> binary
    ?order: shift | order (ORDER | IN) shift -> binary
    ?shift: sum | shift SHIFT sum -> binary
    ?sum: product | sum (PLUS | MINUS) product -> binary
    ?product: unary | product TIMES unary -> binary
    ?unary: postfix | (PLUS | MINUS | NOT | TILDE) unary -> unary | STEP unary -> before
          | NO_MATCH unary -> not_inverted
    ?postfix: primary | postfix "[" expression "]" -> index | postfix STEP -> after
    ?primary: NUMBER -> number | STRING -> string | NAME -> name | "(" expression ")"
            | "[" (expression ("," expression)*)? "]" -> list_of
            | CALLED "(" (expression ("," expression)*)? ")" -> call
            | TEST "(" test ")" -> sieve_test
    test: WORD (test | "(" test ("," test)* ")")?
    ASSIGN: /(?<![=!<>])[-+*\/%]?=(?![=~])/
    BIT_OR: "|"
    BIT_XOR: "^"
    BIT_AND: "&"
    EQUAL.3: "==" | "!=" | "=~"
    NO_MATCH.3: "!~"
    ORDER.2: "<=" | ">=" | "<" | ">"
    IN.2: /in(?!\w)/
    TEST.2: /test(?!\w)/
    SHIFT.3: "<<" | ">>"
    PLUS: "+"
    MINUS: "-"
    NOT: "!"
    TILDE: "~"
    TIMES: "*" | "/" | "%"
    STEP.3: "++" | "--"
    NUMBER: /[0-9]+/
    STRING: /"([^"\\]|\\.)*"/s
    NAME: /[a-z]\w*/
    CALLED: /\$\w+/
    WORD: /[a-z]+/
    %ignore " "
    """,
    parser="lalr",
    maybe_placeholders=False,
)


@v_args(inline=True)
class ToTree(Transformer):
    def number(self, text):
        return tree.Number(int(text))

    def string(self, text):
        return tree.String(lexer.string(text[1:-1]))

    def name(self, text):
        return tree.Name(str(text))

    def list_of(self, *items):
        return tree.ListOf(items)

    def call(self, name, *arguments):
        return tree.Call(str(name), arguments)

    def sieve_test(self, _word, test):
        return tree.SieveTest(test)

    def test(self, word, *tests):
        return tree.Test(str(word), (), tests, word in ("anyof", "allof"))

    def index(self, of, index):
        return tree.Index(of, index)

    def unary(self, sign, operand):
        return tree.Unary(str(sign), operand)

    def not_inverted(self, _sign, operand):
        return tree.Unary("!", tree.Unary("~", operand))

    def before(self, sign, target):
        return tree.Step(str(sign), target, True)

    def after(self, target, sign):
        return tree.Step(str(sign), target, False)

    def binary(self, left, sign, right):
        return tree.Binary(str(sign), left, right)

    def any_of(self, *operands):
        return tree.Logic("||", operands)

    def all_of(self, *operands):
        return tree.Logic("&&", operands)

    def choice(self, condition, yes, no):
        return tree.Choice(condition, yes, no)

    def assignment(self, target, sign, value):
        return tree.Assignment(str(sign), target, value)


PIECES = """keep header Anyof not { } ( ) [ ] ; , :is : 1 2K "a" "b\\"c" text 12x"""
WORDS = st.sampled_from(
    [*PIECES.split(" "), "text:\n.\n", "text: # x\na\n..\n.\n", "# x\n", "/* ; */"]
)


class Sieve(SynchronousTestCase):
    def assert_same_opinion(self, text):
        try:
            SIEVE.parse(text)
            wanted = True
        except LarkError:
            wanted = False
        found = parse(text.encode(), "f", sieve_only=True)
        self.assertEqual(wanted, not found.problems, (text, found.problems))

    @settings(deadline=None, max_examples=400)
    @given(st.lists(WORDS, max_size=12).map(" ".join))
    def test_random_words_are_a_script_to_both_or_to_none(self, text):
        self.assert_same_opinion(text)

    @settings(deadline=None, max_examples=300)
    @given(st.data())
    def test_a_script_with_a_word_changed_is_one_to_both_or_to_none(self, data):
        words = 'a :t [ "x" , "y" ] 1 anyof ( b , not c "z" ) { d ; e text:\n.\n ; } f ( g ) ;'
        words = words.split(" ")
        for _ in range(data.draw(st.integers(0, 2))):
            words[data.draw(st.integers(0, len(words) - 1))] = data.draw(WORDS)
        self.assert_same_opinion(" ".join(words))


class Expressions(SynchronousTestCase):
    @settings(
        deadline=None,
        max_examples=300,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.one_of(trees.ints(3), trees.strings(3), trees.lists(2)))
    def test_random_expressions_are_the_same_tree_to_both(self, node):
        text = expression(node)
        parsed = parse(f"x = ({text});".encode(), "f")
        self.assertEqual((), parsed.problems)
        found = parsed.tree.statements[0].expression.value
        self.assertEqual(ToTree().transform(EXPRESSIONS.parse(text)), found, text)
