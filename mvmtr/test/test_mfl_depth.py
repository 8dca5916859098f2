"""Tests for the bounds on nesting: the parser, the checker and Python agree on them."""

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.mfl.running import program, wrong


class Depth(SynchronousTestCase):
    """What the parser lets pass, Python can take."""

    def test_what_may_be_nested_can_be_compiled(self):
        for open_, inner, close in (
            ("(", "1", ")"),
            ("$length( $string( ", "1", " ) )"),
            ("-(1 + ", "1", ")"),
            ("(0 ? 1 : ", "1", ")"),
            ("(a = ", "1", ")"),
            ("(a += 1 - ", "1", ")"),
            ('($length( ["x"] + ($string( ', "1", " )) ))"),
            ("!(1 && ", "1", ")"),
            ("test( not not not true ) + (", "1", ")"),
        ):
            deepest = self.deepest(
                lambda n, o=open_, i=inner, c=close: f"int a; a = {o * n}{i}{c * n};"
            )
            self.assertGreater(deepest, 10, open_)

    def test_statements_that_may_be_nested_can_be_compiled(self):
        for open_, close in (
            ("{", "}"),
            ("if ( 1 ) {", "}"),
            ("if true {", "}"),
            ("if ( 1 )", ""),
            ("switch ( 1 ) { case 1: ", "}"),
            ("while ( 0 ) {", "}"),
            ("do {", "} while ( 0 );"),
            ("if anyof (not allof (true, false)) { if ( 1 ) {", "} }"),
        ):
            deepest = self.deepest(lambda n, o=open_, c=close: f"void f() {{ {o * n};{c * n} }}")
            self.assertGreater(deepest, 10, open_)

    def test_long_chains_can_be_compiled(self):
        for operator in ("+", "-", "&", "/", "==", "<<"):
            source = f"int a; a = {operator.join(['1'] * 140)};"
            self.assertNotIn("nested", " ".join(wrong(source)), operator)
        program("string s = " + " + ".join(['"x"'] * 140) + ";")
        program("int a; a = " + " || ".join(["a"] * 5000) + ";")
        program("list l = [" + ", ".join(['"x"'] * 5000) + "];")
        program("int a;" + "a = 1;" * 5000)
        program("if anyof (" + ", ".join(["true"] * 5000) + ") { keep; }")

    def deepest(self, source):
        """How deep it can be nested before that is refused in good order."""
        for depth in range(1, 100, 4):
            found = wrong(source(depth))
            if found:
                self.assertRegex(found[0], "nested too deeply|stand in each other")
                self.assertNotRegex(found[0], "^1:1 ")
                return depth - 1
        return 100
