"""
Random functions that nothing is wrong with.

They are in C{a}, C{b} (int), C{s}, C{t} (string) and C{l} (list), which are parameters, and
in globals C{g} (int) and C{h} (string).
"""

from functools import cache

from hypothesis import strategies as st

from mvmtr.mfl import tree

INTS, STRINGS, LISTS = ("a", "b", "g"), ("s", "t", "h"), ("l",)
NAMES = {"int": INTS, "string": STRINGS, "list": LISTS}
ARITHMETIC = ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
COMPARED = ("==", "!=", "<", "<=", ">", ">=")
PATTERNS = (b"a", b"^b", b"[ab]+c?$", b"x|y")

numbers = st.one_of(
    st.integers(0, 4), st.integers(0, 2**63 - 1), st.sampled_from((63, 64, 2**62, 2**63 - 1))
)
small = st.integers(0, 1).map(tree.Number)
texts = st.one_of(st.sampled_from((b"", b"a", b"b", b"abc")), st.binary(max_size=6))


def names(type_):
    return st.sampled_from(NAMES[type_]).map(tree.Name)


@cache
def tests(depth):
    """Sieve tests that need no message."""
    constant = st.sampled_from(("true", "false")).map(tree.Test)
    if depth < 1:
        return constant
    inner = tests(depth - 1)
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        constant,
        inner.map(lambda each: tree.Test("not", (), (each,))),
        st.builds(
            lambda name, each: tree.Test(name, (), each, True),
            st.sampled_from(("anyof", "allof")),
            several,
        ),
    )


def assignments(type_, inner):
    operators = {"int": ("=", "+=", "-=", "*=", "/=", "%="), "string": ("=", "+=")}
    return st.builds(
        tree.Assignment, st.sampled_from(operators.get(type_, ("=", "+="))), names(type_), inner
    )


def choices(depth, inner):
    return st.builds(tree.Choice, conditions(depth), inner, inner)


@cache
def conditions(depth):
    return st.one_of(ints(depth), strings(depth), lists(depth))


@cache
def ints(depth):
    leaf = st.one_of(numbers.map(tree.Number), names("int"))
    if depth < 1:
        return leaf
    inner, text, several = ints(depth - 1), strings(depth - 1), lists(depth - 1)
    arithmetic = st.sampled_from((*ARITHMETIC, *COMPARED))
    compared = st.sampled_from(COMPARED)
    equal = st.sampled_from(("==", "!="))
    return st.one_of(
        leaf,
        st.builds(tree.Binary, arithmetic, inner, inner),
        st.builds(tree.Binary, compared, text, text),
        st.builds(tree.Binary, equal, several, several),
        st.builds(tree.Binary, st.just("in"), text, several),
        st.builds(
            tree.Binary,
            st.sampled_from(("=~", "!~")),
            text,
            st.sampled_from(PATTERNS).map(tree.String),
        ),
        st.builds(tree.Unary, st.sampled_from("-+~"), inner),
        conditions(depth - 1).map(lambda each: tree.Unary("!", each)),
        st.builds(
            tree.Logic,
            st.sampled_from(("&&", "||")),
            st.lists(conditions(depth - 1), min_size=2, max_size=3).map(tuple),
        ),
        choices(depth - 1, inner),
        assignments("int", inner),
        st.builds(tree.Step, st.sampled_from(("++", "--")), names("int"), st.booleans()),
        st.builds(tree.Call, st.just("$length"), st.tuples(st.one_of(text, several))),
        tests(depth - 1).map(tree.SieveTest),
    )


@cache
def strings(depth):
    leaf = st.one_of(texts.map(tree.String), names("string"))
    if depth < 1:
        return leaf
    inner = strings(depth - 1)
    return st.one_of(
        leaf,
        st.builds(tree.Binary, st.just("+"), inner, inner),
        choices(depth - 1, inner),
        assignments("string", inner),
        st.builds(
            tree.Index, st.one_of(inner, lists(depth - 1)), st.one_of(small, ints(depth - 1))
        ),
        st.builds(tree.Call, st.just("$lower"), st.tuples(inner)),
        st.builds(tree.Call, st.just("$string"), st.tuples(ints(depth - 1))),
        st.builds(
            tree.Assignment,
            st.sampled_from(("=", "+=")),
            st.builds(tree.Index, names("list"), st.one_of(small, ints(depth - 1))),
            inner,
        ),
    )


@cache
def lists(depth):
    if depth < 1:
        return names("list")
    text = strings(depth - 1)
    return st.one_of(
        names("list"),
        st.lists(text, max_size=3).map(lambda items: tree.ListOf(tuple(items))),
        st.builds(tree.Binary, st.just("+"), lists(depth - 1), st.one_of(text, lists(depth - 1))),
        choices(depth - 1, lists(depth - 1)),
        assignments("list", lists(depth - 1)),
    )


expressions = {"int": ints, "string": strings, "list": lists}


@st.composite
def blocks(draw, depth, in_loop):
    """A block; a variable that it declares hides one of the same name."""
    statements = draw(st.lists(statement(depth, in_loop), max_size=3))
    if draw(st.booleans()):
        type_ = draw(st.sampled_from(("int", "string", "list")))
        value = draw(st.one_of(st.none(), expressions[type_](1)))
        name = draw(st.sampled_from(NAMES[type_]))
        statements.insert(0, tree.Declaration(type_, (tree.Declarator(name, value),)))
    return tree.Block(tuple(statements))


@st.composite
def loops(draw, depth):
    """A loop of at most three turns; what counts them is out of reach of the others."""
    counter = tree.Name(f"n{depth}")
    turns = tree.Binary("<", tree.Step("++", counter, False), tree.Number(draw(st.integers(0, 3))))
    condition = tree.Logic("&&", (turns, draw(conditions(1))))
    body = draw(blocks(depth - 1, True))
    declared = tree.Declaration("int", (tree.Declarator(counter.name, tree.Number(0)),))
    kind = draw(st.sampled_from(("while", "do", "for")))
    if kind == "for":
        return tree.For(declared, condition, draw(st.one_of(st.none(), ints(1))), body)
    loop = tree.While(condition, body) if kind == "while" else tree.DoWhile(body, condition)
    return tree.Block((declared, loop))


@st.composite
def switches(draw, depth, in_loop):
    type_ = draw(st.sampled_from(("int", "string")))
    values = draw(
        st.lists(
            st.one_of(st.none(), st.integers(0, 3) if type_ == "int" else texts),
            unique=True,
            max_size=4,
        )
    )
    kind = tree.Number if type_ == "int" else tree.String
    cases = []
    for value in values:
        inner = draw(st.lists(statement(depth - 1, in_loop), max_size=2))
        if draw(st.booleans()):
            inner.append(tree.Break())
        cases.append(tree.Case(None if value is None else kind(value), tuple(inner)))
    return tree.Switch(draw(expressions[type_](1)), tuple(cases))


@cache
def statement(depth, in_loop):
    simple = [conditions(2).map(tree.ExpressionStatement)]
    simple += [
        assignments(type_, expressions[type_](2)).map(tree.ExpressionStatement) for type_ in NAMES
    ]
    if in_loop:
        simple += [st.just(tree.Break()), st.just(tree.Continue())]
    if depth < 1:
        return st.one_of(simple)
    body = blocks(depth - 1, in_loop)
    return st.one_of(
        *simple,
        body,
        strings(2).map(tree.Return),
        st.builds(
            tree.If,
            st.lists(st.tuples(conditions(1), body), min_size=1, max_size=3).map(tuple),
            st.one_of(st.none(), body),
        ),
        st.builds(
            tree.SieveIf,
            st.lists(st.tuples(tests(1), body), min_size=1, max_size=2).map(tuple),
            st.one_of(st.none(), body),
        ),
        loops(depth),
        switches(depth, in_loop),
    )


def functions(depth):
    """A file with the globals and one function C{f}."""
    types = {"a": "int", "b": "int", "s": "string", "t": "string", "l": "list"}
    parameters = tuple(tree.Parameter(type_, name) for name, type_ in types.items())
    declared = (
        tree.Declaration("int", (tree.Declarator("g", tree.Number(1)),)),
        tree.Declaration("string", (tree.Declarator("h", None),)),
    )
    shown = [tree.Name("s"), tree.Name("t"), tree.Name("h")]
    shown += [tree.Call("$string", (tree.Name(name),)) for name in INTS]
    shown += [tree.Call("$string", (tree.Call("$length", (tree.Name("l"),)),))]
    everything: tree.Expression = shown[0]
    for each in shown[1:]:
        everything = tree.Binary("+", everything, each)
    body = st.lists(statement(depth, False), min_size=2, max_size=5).map(
        lambda each: tree.Block((tree.Block(tuple(each)), tree.Return(everything)))
    )
    return body.map(
        lambda block: tree.File((*declared, tree.Function("string", "f", parameters, block)))
    )
