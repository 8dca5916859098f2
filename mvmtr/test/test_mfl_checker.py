"""Tests for the checker: every mistake is found before anything runs."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.test.mfl.running import program, wrong
from mvmtr.test.test_mfl_parser import PIECES

TASTE = """
# A taste of the language.
require ["envelope", "regex", "spamtest"];

control greeting "Welcome. No bulk mail.";
control timeout  300;

string traps = "/etc/mail/spamtraps.cdb";

int $hook_rcpt( string recipient )
{
    if ( $cdb_has( traps, $lower( recipient ) ) ) {
        $log( "trap hit by " + $remote_ip() );
        return $reject( 550, "5.1.1 no such mailbox" );
    }
    if ( $relaying() || $domain( recipient ) == "lists.example.test" )
        return $accept();
    return 0;                   // undecided: rcpthosts has the last word
}

int $hook_message()
{
    if ( test( header :contains "Subject" ["winner", "lottery"] )
         && !$relaying() )
        return $defer( 451, "4.7.1 try again later" );

    if size :over 20M {         # Sieve, as it stands in RFC 5228
        reject "too big for us";
        stop;
    }
    return 0;
}
"""


class Checker(SynchronousTestCase):
    def assert_wrong(self, source, *messages, **options):
        """That exactly these things are wrong, each given by its first words."""
        found = wrong(source, **options)
        self.assertEqual(len(messages), len(found), found)
        for message, each in zip(messages, found, strict=True):
            self.assertTrue(each.startswith(message), f"{each!r} is not {message!r}")


class Names(Checker):
    def test_a_taste_of_the_language_is_fine(self):
        self.assertEqual({"rcpt", "message"}, program(TASTE).hooks)

    def test_unknown_names_get_a_hint(self):
        self.assert_wrong(
            "int abc; int f() { return abd; }", "1:27 there is no variable abd; did you mean abc?"
        )
        self.assert_wrong('$lowr( "" );', "1:1 there is no function $lowr; did you mean $lower?")
        self.assert_wrong(
            "int sum() { return 1; } int f() { return Sum(); }",
            "1:42 there is no function Sum; did you mean sum?",
        )
        self.assert_wrong(
            "control greting 1;", "1:9 there is no control greting; did you mean greeting?"
        )
        self.assert_wrong(
            "int $hook_rctp() { }", "1:5 there is no hook $hook_rctp; did you mean $hook_rcpt?"
        )
        self.assert_wrong("dicard;", "1:1 there is no command dicard; did you mean discard?")
        self.assert_wrong("if heder :is {}", "1:4 there is no test heder; did you mean header?")
        self.assert_wrong("if zzz {}", "1:4 there is no test zzz")

    def test_names_are_known_in_their_block_only(self):
        self.assert_wrong("int f() { { int a; } return a; }", "1:29 there is no variable a")
        self.assert_wrong("int f() { for (int i;;) {} return i; }", "1:35 there is no variable i")
        self.assert_wrong("int f() { return g; } int g;", "1:18 there is no variable g")

    def test_a_name_is_declared_once_in_a_block(self):
        self.assert_wrong("int a; string a;", "1:15 a is declared already, in line 1")
        self.assert_wrong("int f( int a, int a ) { }", "1:19 a is declared already")
        self.assert_wrong("int f() { } int f() { }", "1:17 there is another function f")
        self.assert_wrong("int f() { } int f;", "1:17 f is a function")

    def test_functions_and_variables_are_no_substitute_for_each_other(self):
        self.assert_wrong(
            "int f() { return f + 1; }", "1:18 f is a function; ( is missing after it"
        )
        self.assert_wrong("int a; int f() { return a(); }", "1:25 a is an int, not a function")
        self.assert_wrong(
            "int f() { return $hook_data(); } int $hook_data() { }",
            "1:18 $hook_data() is called for you, not by you",
        )

    def test_names_in_what_could_not_be_read_are_not_told_as_unknown(self):
        self.assert_wrong(
            "int abc = ; int f() { return abc; }", "1:11 a value should stand here, not ;"
        )

    def test_after_a_quote_that_is_missing_nothing_else_is_told(self):
        self.assert_wrong(
            'int a = 1 + "";\nint f() { return g(); }\nstring s = "x;\nint g() { $y( "z" ); }\n',
            "1:11 an int + a string makes no sense",
            "3:12 this string has no end",
        )
        self.assert_wrong(
            'string s = "x\n"; int t = 1 + ""; string u = "', "1:12 this string has no end"
        )
        self.assert_wrong("int a = ;\nkeep /* int b = ;", "1:9 a value", "2:6 this comment has no")


class Types(Checker):
    def test_operators_take_what_makes_sense(self):
        for expression, column, message in (
            ('1 + "x"', 3, "an int + a string makes no sense"),
            ('"a" - "b"', 5, "a string - a string makes no sense"),
            ("[] + 1", 4, "a list + an int makes no sense"),
            ('1 == "1"', 3, "an int == a string makes no sense"),
            ("[] < []", 4, "a list < a list makes no sense"),
            ('1 in ["1"]', 3, "an int in a list makes no sense"),
            ('"a" in "abc"', 5, "a string in a string makes no sense"),
            ('1 =~ "1"', 3, "an int =~ a string makes no sense"),
            ('-"a"', 2, "what follows - is a string, not an int"),
            ('1 ? 1 : "a"', 3, "? : gives either an int or a string; it must be one type"),
            ('"a" in ["a", 1]', 14, "an item of a list is an int, not a string"),
            ('$length( "abc"["a"] )', 16, "an index is a string, not an int"),
            ("5[0]", 1, "what is indexed is an int, not a string or a list"),
        ):
            before = "int f() { return "
            found = wrong(f"{before}{expression}; }}")
            self.assertEqual(f"1:{len(before) + column} {message}", found[0])

    def test_variables_hold_their_type(self):
        self.assert_wrong("string s = 3;", "1:12 a string can't hold an int")
        self.assert_wrong('int n; void f() { n = "x"; }', "1:21 an int can't hold a string")
        self.assert_wrong('int n; void f() { n += "x"; }', "1:21 an int += a string makes no sense")
        self.assert_wrong(
            "list l; void f() { l[0] = 3; l[0]++; }",
            "1:25 a string can't hold an int",
            "1:34 ++ needs an int, not a string",
        )
        self.assert_wrong(
            "string s; void f() { s[0] = s; }", "1:23 a part of a string can't be changed"
        )

    def test_calls_have_the_right_arguments(self):
        self.assert_wrong("int f( int a ) { return f(); }", "1:25 f() takes 1 argument, not 0")
        self.assert_wrong(
            'int f( int a, list b ) { return f( "", 1 ); }',
            "1:36 argument 1 of f() is a string, not an int",
            "1:40 argument 2 of f() is an int, not a list",
        )
        self.assert_wrong(
            "$length( 1 );", "1:10 argument 1 of $length() is an int, not a string or a list"
        )
        self.assert_wrong('$substring( "" );', "1:1 $substring() takes 2 to 3 arguments, not 1")
        self.assert_wrong("$format();", "1:1 $format() takes at least 1 argument, not 0")

    def test_constant_arguments_are_looked_at(self):
        self.assert_wrong(
            '$format( "%d %s", 1 );', "1:1 $format(): the format takes 2 values, not 1"
        )
        self.assert_wrong('$format( "%y" );', "1:1 $format(): % is followed by s, d or x")
        self.assert_wrong('$match( "", "(" );', "1:1 $match(): not a regular expression: missing )")
        self.assert_wrong('$split( "a", "" );', "1:1 $split(): the separator is empty")
        self.assert_wrong('int f() { return "" =~ "a{2,1}"; }', "1:24 not a regular expression: ")
        start = "int $hook_data() { return "
        self.assert_wrong(
            start + '$reject( 450, "" ); }', "1:27 $reject(): the code is from 500 to 599, not 450"
        )
        self.assert_wrong(
            start + '$defer( 450, "5.7.1 x" ); }', "1:27 $defer(): 5.7.1 does not go with a code"
        )

    def test_what_gives_nothing_has_no_value(self):
        self.assert_wrong(
            "void f() { } int g() { return f(); }", "1:31 what is returned is nothing, not an int"
        )
        self.assert_wrong("void f() { if ( f() ) ; }", "1:17 this condition is nothing")

    def test_returns_fit_their_function(self):
        self.assert_wrong("int f() { return; }", "1:11 f() returns an int")
        self.assert_wrong("void f() { return 1; }", "1:12 f() returns nothing")
        self.assert_wrong(
            "string f() { return 1; }", "1:21 what is returned is an int, not a string"
        )
        self.assert_wrong("if ( 1 ) return;", "1:10 return stands in no function")

    def test_controls_take_values_of_their_type(self):
        self.assert_wrong('control timeout "x";', "1:17 timeout takes an int, not a string")
        self.assert_wrong(
            "control greeting 1;", "1:18 greeting takes a string or a list, not an int"
        )
        self.assert_wrong("control timeout 0;", "1:17 must be at least 1")
        self.assert_wrong("int z; control timeout z;", "1:24 must be at least 1")
        self.assert_wrong(
            "void f() { control timeout 1; }", "1:20 a control can be set outside of functions only"
        )


class Statements(Checker):
    def test_break_and_continue_stand_in_loops(self):
        self.assert_wrong(
            "void f() { break; continue; }", "1:12 break stands", "1:19 continue stands"
        )
        self.assert_wrong(
            "void f() { switch ( 1 ) { case 1: continue; } }", "1:35 continue stands in no loop"
        )

    def test_cases_are_constants_that_differ_and_fit(self):
        self.assert_wrong(
            "int n; void f() { switch ( n ) { "
            'case 1: case 1: case "a": case n: default: default: } }',
            "1:42 there is another case for this",
            "1:55 this case is a string, the switch an int",
            "1:65 the value of a case is a number or a string",
            "1:77 there is another case for this",
        )
        self.assert_wrong("void f() { switch ( [] ) { } }", "1:21 the value of a switch is a list")

    def test_functions_and_requires_stand_outside(self):
        self.assert_wrong(
            "void f() { void g() { } }", "1:17 a function can't stand inside of something"
        )
        self.assert_wrong(
            'if true { require "copy"; }', "1:11 require must stand outside of all blocks"
        )

    def test_loops_have_a_limit_of_nesting(self):
        source = "void f() { " + "while ( 1 ) " * 16 + "; }"
        self.assertIn("more than 15 loops stand in each other", wrong(source)[0])
        program("void f() { " + "while ( 1 ) " * 15 + "; }")

    def test_an_if_has_a_limit_of_branches(self):
        source = "int n; if ( n ) ;" + " else if ( n ) ;" * 301
        self.assertIn("more than 300 branches", wrong(source)[0])
        program("int n; if ( n ) ;" + " else if ( n ) ;" * 299)


class Hooks(Checker):
    def test_hooks_have_their_parameters(self):
        self.assert_wrong("int $hook_rcpt() { }", "1:5 this hook is $hook_rcpt(string recipient)")
        self.assert_wrong("int $hook_helo( int n ) { }", "1:5 this hook is $hook_helo(string name)")
        self.assert_wrong("int $hook_data( string s ) { }", "1:5 this hook is $hook_data()")
        self.assert_wrong(
            "string $hook_data() { }", "1:8 $hook_data() returns an int, not a string"
        )
        for name in ("connect", "data", "message", "disconnect"):
            program(f"int $hook_{name}() {{ return 0; }}")
        for name in ("helo", "auth", "mail", "rcpt"):
            program(f"int $hook_{name}( string any ) {{ return 0; }}")
        program("void $hook_disconnect() { }")

    def test_a_hook_returns_no_number_of_its_own(self):
        self.assert_wrong(
            "int $hook_data() { return 550; }", "1:20 a hook returns 0 or what $accept"
        )

    def test_what_is_not_there_yet_can_not_be_used(self):
        self.assert_wrong(
            'int $hook_rcpt( string r ) { return $header( "a" ) != ""; }',
            "1:37 $header() needs the message, but $hook_rcpt() runs before that is there",
        )
        self.assert_wrong(
            'int $hook_helo( string n ) { if header "a" "b" { redirect "a@b"; } }',
            "1:33 header needs the message",
            "1:50 redirect needs a sender and recipients",
        )
        self.assert_wrong(
            "$remote_ip();", "1:1 $remote_ip() needs a session, but this runs when the file is read"
        )
        self.assert_wrong('int n = $length( $dns_a( "x" ) );', "1:18 $dns_a() needs a session")

    def test_what_functions_use_counts_for_the_hooks_that_call_them(self):
        source = (
            "int g() { return $body_size(); } int f() { return g(); } int $hook_data() { f(); }"
        )
        self.assert_wrong(source, "1:18 $body_size() needs the message, but $hook_data() runs")
        program(source.replace("$hook_data", "$hook_message"))

    def test_two_sets_of_rules_for_the_message_are_one_too_many(self):
        self.assert_wrong(
            "int $hook_message() { } keep;",
            "1:25 Sieve outside of functions acts on the message, but",
        )


class Sieve(Checker):
    def test_pure_sieve_requires_what_it_uses(self):
        self.assert_wrong('if envelope "from" "" { }', '1:4 envelope needs require "envelope";')
        self.assert_wrong('if header :regex "a" "b" { }', '1:11 :regex needs require "regex";')
        self.assert_wrong('redirect :copy "a@b";', '1:10 :copy needs require "copy";')
        self.assert_wrong('reject "x";', '1:1 reject needs require "reject";')
        self.assert_wrong('if ihave "copy" { }', '1:4 ihave needs require "ihave";')
        program('require "envelope"; if envelope "from" "" { }')

    def test_with_anything_c_like_in_the_file_everything_is_at_hand(self):
        program('int n; if envelope "from" "" { reject "x"; }')

    def test_require_stands_first_in_pure_sieve(self):
        self.assert_wrong(
            'keep; require "copy";', "1:7 require must stand before all other commands"
        )
        program('int n; keep; require "copy";')

    def test_unknown_capabilities_get_a_hint_and_senseless_ones_a_reason(self):
        self.assert_wrong(
            'require ["regxe", "x"];',
            '1:10 there is no capability "regxe"; did you mean regex?',
            '1:19 there is no capability "x"',
        )
        for capability, command in (
            ("fileinto", "fileinto"),
            ("vacation", "vacation"),
            ("imap4flags", "addflag"),
        ):
            self.assert_wrong(
                f'require "{capability}";', f'1:9 "{capability}" makes no sense here: '
            )
            self.assert_wrong(f'{command} "x";', f"1:1 {command} makes no sense here: ")

    def test_tags_are_known_once_and_first(self):
        self.assert_wrong(
            'if header :contians "a" "b" {}',
            "1:11 header takes no tag :contians; did you mean contains?",
        )
        self.assert_wrong(
            'if header :is :contains "a" "b" {}', "1:15 :contains and :is exclude each other"
        )
        self.assert_wrong('if header :is :is "a" "b" {}', "1:15 :is stands here twice")
        self.assert_wrong(
            'if header "a" :is "b" {}', "1:15 :is must stand before the other arguments"
        )

    def test_arguments_have_their_number_and_kind(self):
        self.assert_wrong('if header "a" {}', "1:4 header needs ")
        self.assert_wrong('if header "a" "b" "c" {}', "1:4 header takes only ")
        self.assert_wrong('if size :over "a" {}', "1:")
        self.assert_wrong('redirect ["a@b"];', "1:10 ")
        self.assert_wrong('if header 1 "b" {}', "1:11 ")
        self.assert_wrong("keep 1;", "1:1 keep takes no argument")
        self.assert_wrong("stop 1;", "1:1 stop takes no argument")
        self.assert_wrong("keep true;", "1:6 keep takes no test")
        self.assert_wrong("keep { }", "1:1 keep takes no block")

    def test_tests_of_tests_take_what_they_take(self):
        self.assert_wrong("if not { }", "1:4 not takes one test")
        self.assert_wrong("if not (true) { }", "1:4 not takes one test, without parentheses")
        self.assert_wrong("if anyof true { }", "1:4 anyof takes a list of tests in parentheses")
        self.assert_wrong('if allof "a" (true) { }', "1:10 allof takes tests only")
        self.assert_wrong("if true false { }", "1:9 true takes no test")

    def test_words_of_if_stand_with_it(self):
        self.assert_wrong("else { }", "1:1 this else has no if")
        self.assert_wrong("elsif true { }", "1:1 this elsif has no if")

    def test_variables_have_names(self):
        require = 'require ["variables"];\n'
        self.assert_wrong(require + 'set "1" "x";', '2:5 "1" is not the name of a variable')
        self.assert_wrong(require + 'set "a.b" "x";', "2:5 there is no namespace a for variables")
        self.assert_wrong(
            require + 'if string "${a.b}" "x" {}', "2:11 there is no namespace a for variables"
        )
        self.assert_wrong(require + 'set "${a}" "x";', "2:5 no variable may stand in ")
        self.assertEqual([], wrong(require + 'if string "${a b} ${1a} ${}" "x" {}'))

    def test_variables_of_mfl_in_strings_fit(self):
        self.assert_wrong(
            'list l; if string "a ${l}" "x" {}', "1:19 ${l} is a list; here is place for one string"
        )
        self.assert_wrong('int n; set "n" "x";', "1:8 set gives a string, but n is int")


class Anything(SynchronousTestCase):
    @settings(deadline=None, max_examples=300)
    @given(st.lists(PIECES, max_size=30).map(" ".join), st.booleans())
    def test_random_words_are_checked(self, text, sieve):
        wrong(text, sieve=sieve)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=60))
    def test_random_bytes_are_checked(self, data):
        wrong(data)

    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test_a_file_with_some_words_changed_is_checked(self, data):
        words = TASTE.split(" ")
        for _ in range(data.draw(st.integers(1, 3))):
            words[data.draw(st.integers(0, len(words) - 1))] = data.draw(PIECES)
        wrong(" ".join(words))
