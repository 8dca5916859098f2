"""Tests for C{include} of both sides."""

import os

from twisted.trial.unittest import SynchronousTestCase

from mvmtr.mfl.errors import MflErrors
from mvmtr.mfl.program import read
from mvmtr.test.mfl.running import CONTROLS, call


class Folder(SynchronousTestCase):
    def setUp(self):
        self.folder = self.mktemp()
        os.makedirs(os.path.join(self.folder, "rules"))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def read(self, text, **options):
        return read(self.write("main.mfl", text), controls=CONTROLS, **options)

    def wrong(self, text, **options):
        errors = self.assertRaises(MflErrors, self.read, text, **options)
        return [(os.path.basename(each.place.file), each.message) for each in errors.problems]


class Plain(Folder):
    def test_another_file_is_read_where_it_is_included(self):
        self.write("rules/a.mfl", 'include "b.mfl"; int a = b + 1; int f() { return a; }')
        self.write("rules/b.mfl", "int b = 1; control timeout 7;")
        program = self.read(
            'include "rules/a.mfl"; int $hook_message() { return f() == 2 ? $accept() : 0; }'
        )
        self.assertEqual("accept", call(program)[0].verdict.kind)
        self.assertEqual(7, program.controls[0].value)
        names = [os.path.basename(each) for each in program.files]
        self.assertEqual(["main.mfl", "a.mfl", "b.mfl"], names)

    def test_problems_tell_the_file_that_they_are_in(self):
        self.write("rules/a.mfl", "int a = ;\nint b = c;")
        self.assertEqual(
            [
                ("a.mfl", "a value should stand here, not ;"),
                ("a.mfl", "there is no variable c"),
                ("main.mfl", "there is no variable d"),
            ],
            sorted(self.wrong('include "rules/a.mfl"; int x = d;')),
        )

    def test_a_file_that_can_not_be_read_is_told(self):
        ((file, message),) = self.wrong('include "none.mfl";')
        self.assertEqual("main.mfl", file)
        self.assertIn("none.mfl can't be read: No such file", message)
        self.assertIn("can't be read", self.wrong('include "rules";')[0][1])

    def test_files_outside_of_the_folder_are_not_included(self):
        for name in ("../x.mfl", "/etc/passwd", "rules/../../x.mfl", ""):
            self.assertIn("is not below the folder", self.wrong(f'include "{name}";')[0][1])
        os.symlink("/etc/passwd", os.path.join(self.folder, "link.mfl"))
        self.assertIn("is not below the folder", self.wrong('include "link.mfl";')[0][1])

    def test_a_file_can_not_include_itself(self):
        self.write("a.mfl", 'include "main.mfl";')
        self.assertIn("includes itself", self.wrong('include "a.mfl";')[0][1])

    def test_a_file_is_the_same_whatever_way_leads_to_it(self):
        self.write("rules/a.mfl", 'include "../rules/../main.mfl";')
        self.assertIn("includes itself", self.wrong('include "rules/../rules/a.mfl";')[0][1])
        self.write("rules/a.mfl", "int a;")
        self.read('include "rules/../rules/a.mfl"; include "rules/a.mfl";')

    def test_a_long_chain_of_files_is_refused(self):
        for number in range(30):
            self.write(f"{number}.mfl", f'include "{number + 1}.mfl";')
        self.assertIn("more than 15 files include each other", self.wrong('include "0.mfl";')[0][1])

    def test_a_great_many_files_are_refused(self):
        self.write("a.mfl", "")
        found = self.wrong('include "a.mfl"; ' * 201)
        self.assertIn("more than 200 files are included", found[0][1])

    def test_a_file_that_is_included_twice_is_read_once(self):
        self.write("a.mfl", "int a = 1;")
        self.read('include "a.mfl"; include "a.mfl"; int b = a;')

    def test_sieve_of_included_files_acts_on_the_message(self):
        self.write("a.mfl", 'if header "subject" "hello" { discard; }')
        self.assertEqual("discard", call(self.read('include "a.mfl";'))[0].verdict.kind)

    def test_each_file_requires_for_itself(self):
        self.write("a.mfl", 'require "copy"; redirect :copy "a@b";')
        self.write("b.mfl", 'redirect :copy "a@b";')
        self.read('include "a.mfl";')
        self.assertIn("needs require", self.wrong('include "a.mfl"; include "b.mfl";')[0][1])

    def test_without_a_file_nothing_can_be_included(self):
        errors = self.assertRaises(MflErrors, read, "no/such/file.mfl", b'include "a.mfl";')
        self.assertIn("nothing can be included here", str(errors))

    def test_a_file_that_is_not_there_is_one_problem(self):
        errors = self.assertRaises(MflErrors, read, os.path.join(self.folder, "none"))
        self.assertIn("can't be read", str(errors))


class OfSieve(Folder):
    REQUIRE = 'require ["include", "variables", "reject"];\n'

    def test_a_script_runs_where_it_is_included(self):
        self.write("a.sieve", 'if header "subject" "hello" { discard; }')
        program = self.read(self.REQUIRE + 'include "a"; ')
        self.assertEqual("discard", call(program)[0].verdict.kind)

    def test_return_ends_the_script_and_stop_ends_all(self):
        self.write("a.sieve", 'require "include"; if true { return; } discard;')
        program = self.read(self.REQUIRE + 'include :personal "a"; reject "here";')
        self.assertEqual("reject", call(program)[0].verdict.kind)
        self.write("a.sieve", "stop;")
        self.assertIsNone(call(self.read(self.REQUIRE + 'include "a"; discard;'))[0].verdict)

    def test_return_outside_of_a_script_ends_the_hook(self):
        self.assertIsNone(call(self.read(self.REQUIRE + "if true { return; } discard;"))[0].verdict)
        self.assertEqual('return needs require "include";', self.wrong("return;")[0][1])

    def test_variables_are_of_their_script_unless_they_are_global(self):
        self.write(
            "a.sieve",
            'require ["include", "variables"]; global ["b", "C"]; set "a" "2"; set "b" "2"; '
            'set "c" "${b}${a}"; set "global.d" "4";',
        )
        text = self.REQUIRE + 'global "c"; set "a" "1"; set "b" "1"; include "a"; '
        text += 'reject "${a}${b}${c}${global.b}${global.d}";'
        self.assertEqual(b"5.7.1 1122" + b"24", call(self.read(text))[0].verdict.text)

    def test_once_and_optional(self):
        self.write("a.sieve", 'require ["include", "variables"]; global "n"; set "n" "${n}x";')
        text = self.REQUIRE + 'global "n"; include "a"; include :once "a"; include "a"; '
        text += 'include :optional "none"; include :once :optional "none"; reject "${n}";'
        self.assertEqual(b"5.7.1 xx", call(self.read(text))[0].verdict.text)

    def test_scripts_are_looked_for_in_the_folder_of_their_kind(self):
        for name in ("p", "g"):
            os.mkdir(os.path.join(self.folder, name))
        self.write("p/a.sieve", "keep;")
        self.write("g/a.sieve", "discard;")
        folders = {
            "personal": os.path.join(self.folder, "p"),
            "global": os.path.join(self.folder, "g"),
        }
        program = self.read('require "include"; include :personal "a";', folders=folders)
        self.assertIsNone(call(program)[0].verdict)
        program = self.read('require "include"; include :global "a";', folders=folders)
        self.assertEqual("discard", call(program)[0].verdict.kind)

    def test_what_is_wrong_is_told(self):
        for text, message in (
            ('include "none";', "there is no script"),
            ('include "../main";', "is not the name of a script"),
            ('include "${a}";', "no variable may stand in the name of a script"),
            ('include "${a}b";', "no variable may stand in the name of a script"),
            ('include :personal :global "a";', "include takes :personal or :global"),
            ('include :x "a";', "include takes :personal or :global"),
            ('include ["a"];', "include takes the name of one script"),
            ('global "a.b";', "is not the name of a variable"),
            ("global 1;", "global takes a string or a list of strings"),
        ):
            self.assertIn(message, self.wrong(self.REQUIRE + text)[0][1])
        self.assertEqual('include needs require "include";', self.wrong('include :once "a";')[0][1])

    def test_scripts_can_not_include_each_other_in_a_circle(self):
        self.write("a.sieve", 'require "include"; include "b";')
        self.write("b.sieve", 'require "include"; include "a";')
        ((file, message),) = self.wrong(self.REQUIRE + 'include "a";')
        self.assertEqual("b.sieve", file)
        self.assertIn("includes itself", message)

    def test_a_script_is_nothing_but_sieve(self):
        self.write("a.sieve", "int a = 1;")
        self.assertEqual("a.sieve", self.wrong(self.REQUIRE + 'include "a";')[0][0])

    def test_a_script_that_needs_the_message_is_not_included_before_it_is_there(self):
        self.write("a.sieve", 'if header "a" "b" { keep; }')
        text = 'require "include"; int $hook_data() { include "a"; }'
        self.assertIn("header needs the message", self.wrong(text)[0][1])

    def test_a_script_is_included_from_a_loop_with_its_variables_anew(self):
        self.write(
            "a.sieve",
            'require ["include", "variables"]; global "n"; set "l" "${l}x"; set "n" "${n}${l}";',
        )
        text = 'require ["include"]; int $hook_message() { global "n"; '
        text += 'for ( int i; i < 3; i++ ) include "a"; reject "${n}"; }'
        self.assertEqual(b"5.7.1 xxx", call(self.read(text))[0].verdict.text)
