"""Tests for the built-in functions, and for how they are stated."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import RunError
from mvmtr.mfl.host import Host, message_source
from mvmtr.mfl.program import Limits
from mvmtr.mfl.signatures import builtins
from mvmtr.test.mfl.running import call, finished, host, program, result, value


class Stated(SynchronousTestCase):
    def test_all_that_were_promised_are_there(self):
        promised = """
            remote_ip remote_host remote_info local_ip local_host helo tls auth_user env relaying
            set_relaying sender recipients control note set_note header headers body_size
            add_header delete_header spf dkim dmarc dns_a dns_mx dns_txt dns_ptr dnsbl cdb_has cdb
            file_has assess lower upper length substring split join replace match local domain int
            string format md5 sha256 time strftime log accept reject defer discard
        """
        self.assertEqual({f"${name}" for name in promised.split()}, set(builtins()))

    def test_each_says_what_it_means(self):
        for name, each in builtins().items():
            self.assertTrue(each.meaning, name)

    def test_annotations_are_the_signature(self):
        signature = builtins()["$substring"].signature
        self.assertEqual(("string", 2), (signature.result, signature.required))
        self.assertEqual(
            [{"string"}, {"int"}, {"int"}], [signature.types_of(each) for each in range(3)]
        )
        self.assertEqual({"string", "list"}, builtins()["$length"].signature.types_of(0))
        self.assertEqual({"string", "int"}, builtins()["$format"].signature.types_of(9))

    def test_look_ups_may_wait_and_others_do_not(self):
        waiting = {name for name, each in builtins().items() if each.waits}
        lookups = "dns_a dns_mx dns_txt dns_ptr dnsbl cdb_has cdb file_has assess spf dkim dmarc"
        self.assertEqual({f"${name}" for name in lookups.split()}, waiting)


class Text(SynchronousTestCase):
    def text(self, expression):
        return value(expression, "string")

    def test_case(self):
        self.assertEqual(b"abc\xc3\x84", self.text('$lower( "ABCÄ" )'))
        self.assertEqual(b"ABC", self.text('$upper( "abC" )'))

    def test_length(self):
        self.assertEqual([3, 2], [value('$length( "abc" )'), value('$length( ["", "x"] )')])

    def test_substring(self):
        for arguments, wanted in (
            ("1", b"bcd"),
            ("1, 2", b"bc"),
            ("-2", b"cd"),
            ("-9, 2", b"ab"),
            ("9", b""),
            ("0, -1", b""),
        ):
            self.assertEqual(wanted, self.text(f'$substring( "abcd", {arguments} )'), arguments)

    def test_split_and_join(self):
        self.assertEqual((b"a", b"", b"b"), value('$split( "a,,b", "," )', "list"))
        self.assertEqual(b"a--b", self.text('$join( ["a", "b"], "--" )'))
        error = self.assertRaises(RunError, value, '$split( "a", $lower( "" ) )', "list")
        self.assertIn("the separator is empty", str(error))

    def test_replace(self):
        self.assertEqual(b"xbxb", self.text('$replace( "abab", "a", "x" )'))
        self.assertEqual(b"ab", self.text('$replace( "ab", "", "x" )'))

    def test_match(self):
        self.assertEqual((b"bcd", b"c", b""), value('$match( "abcde", "b(c)d(x)?" )', "list"))
        self.assertEqual((), value('$match( "abc", "x" )', "list"))

    def test_parts_of_addresses(self):
        self.assertEqual(b"a@b", self.text('$local( "a@b@C.Test" )'))
        self.assertEqual(b"c.test", self.text('$domain( "a@b@C.Test" )'))
        self.assertEqual(b"postmaster", self.text('$local( "postmaster" )'))
        self.assertEqual(b"", self.text('$domain( "postmaster" )'))

    def test_numbers_and_texts(self):
        for text, number in (
            ("12", 12),
            (" -7 ", -7),
            ("0x1F", 31),
            ("+9223372036854775807", 2**63 - 1),
        ):
            self.assertEqual(number, value(f'$int( "{text}" )'))
        for text in ("", "x", "1 2", "9223372036854775808", "1e3", "0x", "12345678901234567890123"):
            error = self.assertRaises(RunError, value, f'$int( "{text}" )')
            self.assertIn("is not a number", str(error))
        self.assertEqual(b"-5", self.text("$string( -5 )"))

    def test_format(self):
        self.assertEqual(
            b"a|  b|c  |007|ff|%",
            self.text('$format( "%s|%3s|%-3s|%03d|%x|%%", "a", "b", "c", 7, 255 )'),
        )
        self.assertEqual(b"5", self.text('$format( "%s", 5 )'))
        self.assertRaises(RunError, self.text, '$format( "%d", "x" )')
        self.assertRaises(RunError, self.text, '$format( $lower( "%d" ) )')

    def test_sums(self):
        self.assertEqual(b"900150983cd24fb0d6963f7d28e17f72", self.text('$md5( "abc" )'))
        self.assertEqual(b"ba7816bf", self.text('$substring( $sha256( "abc" ), 0, 8 )'))

    def test_time(self):
        the_host = host(time=1e9)
        self.assertEqual(10**9, result("int f() { return $time(); }", the_host=the_host))
        self.assertEqual(
            b"2001-09-", self.text('$substring( $strftime( "%Y-%m-%d", 1000000000 ), 0, 8 )')
        )
        self.assertRaises(RunError, self.text, '$strftime( "%Y", 9223372036854775807 )')

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=30), st.binary(max_size=3), st.integers(-40, 40), st.integers(-5, 40))
    def test_any_bytes_are_text(self, text, other, start, count):
        source = """
            list f( string a, string b, int start, int count )
            {
                list l = [$lower( a ), $upper( a ), $replace( a, b, "xy" ), $md5( a ), $local( a )];
                l += [$substring( a, start, count ), $domain( a ), $join( [a, b], a )];
                return b == "" ? l : l + $join( $split( a, b ), b );
            }
        """
        found = result(source, arguments=(text, other, start, count))
        self.assertEqual(text.replace(other, b"xy") if other else text, found[2])
        if other:
            self.assertEqual(text, found[-1])


class Session(SynchronousTestCase):
    def test_what_is_known_of_the_session(self):
        words = "remote_ip remote_host remote_info local_ip local_host helo auth_user sender"
        names = words.split()
        values = {name: name.encode() for name in names}
        for name in names:
            source = f"int $hook_connect() {{ $log( ${name}() ); }}"
            self.assertEqual(name.encode(), call(source, "connect", **values)[1].logged[0][0])

    def test_numbers_and_lists_of_the_session(self):
        source = 'int $hook_connect() { $log( $string( $tls() ) + $join( $recipients(), "," ) ); }'
        _outcome, the_host = call(source, "connect", tls=True, recipients=[b"a", b"b"])
        self.assertEqual(b"1a,b", the_host.logged[0][0])

    def test_relaying_can_be_allowed(self):
        source = "int $hook_connect() { $set_relaying( $relaying() ? 0 : 5 ); }"
        self.assertIs(True, call(source, "connect")[1].relaying)
        self.assertIs(False, call(source, "connect", relaying=True)[1].relaying)

    def test_environment_controls_and_notes(self):
        source = """
            int $hook_connect() {
                $set_note( "a", $env( "X" ) + $env( "Y" ) );
                $log( $note( "a" ) + $note( "b" ) + $control( "c" ) );
            }
        """
        _outcome, the_host = call(source, "connect", variables={b"X": b"x"}, controls={b"c": b"C"})
        self.assertEqual(b"xC", the_host.logged[0][0])
        self.assertEqual({b"a": b"x"}, the_host.notes)

    def test_a_control_that_there_is_not_is_an_error(self):
        error = self.assertRaises(
            RunError, call, 'int $hook_connect() { $control( "x" ); }', "connect"
        )
        self.assertEqual("test.mfl:1:23: there is no control x", str(error))

    def test_a_line_of_the_log_has_its_place_and_an_end(self):
        _outcome, the_host = call('int $hook_connect() {\n $log( "a" );\n }', "connect")
        self.assertEqual(2, the_host.logged[0][1].line)
        source = (
            'int $hook_connect( ) { string s = "x"; for ( int i; i < 13; i++ ) s += s; $log( s ); }'
        )
        self.assertEqual(4000, len(call(source, "connect")[1].logged[0][0]))

    def test_verdicts(self):
        for expression, wanted in (
            ("$accept()", ("accept", 250, b"")),
            ("$discard()", ("discard", 250, b"")),
            ('$reject( 553, "5.1.1 no" )', ("reject", 553, b"5.1.1 no")),
            ('$defer( 421, "later" )', ("defer", 421, b"later")),
        ):
            verdict = call(f"int $hook_connect() {{ return {expression}; }}", "connect")[0].verdict
            self.assertEqual(wanted, (verdict.kind, verdict.code, verdict.text))

    def test_codes_that_are_known_only_now_are_looked_at(self):
        source = 'int n = 200; int $hook_connect() { return $reject( n, "" ); }'
        error = self.assertRaises(RunError, call, source, "connect")
        self.assertIn("the code is from 500 to 599, not 200", str(error))


class Message(SynchronousTestCase):
    MESSAGE = b"Subject: =?utf-8?q?caf=C3=A9?=\nX-A: 1\n folded\nX-A: 2\n\nbody\n"

    def test_fields_are_unfolded_and_decoded(self):
        source = """
            int $hook_message() {
                $log( $header( "subject" ) + $header( "none" ) );
                $log( $join( $headers( "X-A" ), "|" ) );
            }
        """
        _outcome, the_host = call(source, host=Host(message=message_source(self.MESSAGE)))
        self.assertEqual(
            ["café".encode(), b"1 folded|2"], [text for text, _place in the_host.logged]
        )

    def test_the_size_of_the_body(self):
        source = "int $hook_message() { return $body_size() > 4 ? $accept() : 0; }"
        self.assertEqual("accept", call(source)[0].verdict.kind)

    def test_fields_are_added_and_deleted(self):
        source = """
            int $hook_message() {
                $delete_header( "X-A" );
                $add_header( "X-Tag", "yes" );
                if ( $header( "X-A" ) == "" && test( header "x-tag" "yes" ) ) return $accept();
            }
        """
        outcome, _host = call(source, host=Host(message=message_source(self.MESSAGE)))
        self.assertEqual("accept", outcome.verdict.kind)
        header = outcome.message.header()
        self.assertIn(b"X-Tag: yes\n", header)
        self.assertNotIn(b"X-A", header)

    def test_what_is_no_field_is_not_added(self):
        for name, text in (
            ("X A", "x"),
            ("", "x"),
            ("X", "a\\nInjected: yes"),
            ("X", "a\\x00"),
            ("X", "a\\rb"),
        ):
            source = f'int $hook_message() {{ $add_header( "{name}", "{text}" ); }}'
            try:
                outcome, _host = call(source)
            except RunError:
                continue
            lines = outcome.message.header().split(b"\n")
            self.assertFalse(any(line.startswith(b"Injected") for line in lines), (name, text))
            self.assertNotIn(b"\x00", outcome.message.header())


class LookUps(SynchronousTestCase):
    FOUND = {
        ("a", b"x"): [b"192.0.2.1"],
        ("mx", b"x"): (b"mx1", b"mx2"),
        ("txt", b"x"): [b"v=spf1"],
        ("ptr", b"192.0.2.1"): [b"x"],
        ("dnsbl", b"zone"): b"127.0.0.2",
        ("cdb", b"f", b"k"): b"v",
        ("file", b"f", b"l"): True,
        ("assess", b"t"): b"good",
        ("spf",): b"pass",
        ("dkim",): b"fail",
    }

    def test_what_is_found_is_given(self):
        for expression, wanted in (
            ('$join( $dns_a( "x" ), "" )', b"192.0.2.1"),
            ('$join( $dns_mx( "x" ), "," )', b"mx1,mx2"),
            ('$join( $dns_txt( "x" ), "" )', b"v=spf1"),
            ('$join( $dns_ptr( "192.0.2.1" ), "" )', b"x"),
            ('$string( $length( $dns_a( "y" ) ) )', b"0"),
            ('$dnsbl( "zone" ) + $dnsbl( "other" )', b"127.0.0.2"),
            ('$cdb( "f", "k" ) + $cdb( "f", "z" )', b"v"),
            ('$format( "%d%d", $cdb_has( "f", "k" ), $cdb_has( "f", "z" ) )', b"10"),
            ('$format( "%d%d", $file_has( "f", "l" ), $file_has( "f", "z" ) )', b"10"),
            ('$assess( "t" )', b"good"),
            ("$spf() + $dkim() + $dmarc()", b"passfailnone"),
        ):
            source = f"int $hook_message() {{ $log( {expression} ); }}"
            _outcome, the_host = call(source, found=self.FOUND)
            self.assertEqual(wanted, the_host.logged[0][0], expression)

    def test_a_hook_waits_for_an_answer(self):
        answer = Deferred()
        the_host = host(found={("dnsbl", b"zone"): answer})
        source = """
            int listed( string zone ) { return $dnsbl( zone ) != ""; }
            int $hook_connect() { if ( listed( "zone" ) ) return $reject( 554, "listed" ); }
        """
        outcome = Deferred.fromCoroutine(program(source).call("connect", (), the_host, Limits()))
        self.assertNoResult(outcome)
        answer.callback(b"127.0.0.4")
        self.assertEqual("reject", self.successResultOf(outcome).verdict.kind)

    def test_an_answer_that_fails_is_an_error_with_its_place(self):
        the_host = host(found={("cdb", b"f", b"k"): OSError("f: no such file")})
        source = 'int $hook_connect() {\n    string s = $cdb( "f", "k" );\n}'
        error = self.assertRaises(RunError, call, source, "connect", host=the_host)
        self.assertEqual("test.mfl:2:16: f: no such file", str(error))

    def test_an_answer_that_fails_later_is_an_error_with_its_place(self):
        answer = Deferred()
        the_host = host(found={("spf",): answer})
        the_program = program("int $hook_connect() {\n  $log( $spf() );\n}")
        outcome = Deferred.fromCoroutine(the_program.call("connect", (), the_host, Limits()))
        answer.errback(ValueError("no"))
        error = self.failureResultOf(outcome, RunError).value
        self.assertEqual("test.mfl:2:9: no", str(error))

    def test_a_sieve_test_in_a_hook_that_waits(self):
        source = 'int $hook_message() { if header "subject" "hello" { $log( $assess( "t" ) ); } }'
        coroutine = program(source).call("message", (), host(found=self.FOUND), Limits())
        self.assertIsNone(finished(coroutine).verdict)
