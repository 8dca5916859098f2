"""The package as it is installed from a wheel, where its user can't write."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from mvmtr import __version__
from mvmtr.test.support import ROOT, control_folder, folder

# Installed alone, the package can't be built again.
skip = None if (ROOT / "setup.cfg").is_file() else "there is no source here"


PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def wheel(source, target, **variables):
    """Build a wheel."""
    environment = {**os.environ, **variables}
    command = [*PIP, "wheel", "--no-deps", "-w", target, source]
    subprocess.run(command, check=True, env=environment)


@functools.cache
def installed() -> str:
    """
    A folder into which a wheel of the source was installed, until the tests end.

    All that it depends on is there as well, for Twisted looks for plugins beside itself.
    """
    home = tempfile.mkdtemp(prefix="mvmtr-test-")
    atexit.register(shutil.rmtree, home)
    source = os.path.join(home, "source")
    wheels = os.path.join(home, "wheels")
    site = os.path.join(home, "site")
    ignored = shutil.ignore_patterns(".*", "_trial_temp*", "build", "Maildir")
    shutil.copytree(ROOT, source, ignore=ignored)
    wheel(source, wheels)
    (made,) = os.listdir(wheels)
    install = [*PIP, "install", "--target", site, os.path.join(wheels, made)]
    subprocess.run(install, check=True)
    # In the place of the cache a folder, which not even root can write to.
    os.mkdir(os.path.join(site, "twisted", "plugins", "dropin.cache"))
    return site


class WheelTests(SynchronousTestCase):
    """Programs of an installed wheel, run in another folder."""

    def setUp(self):
        self.site = installed()

    def run_program(self, *command, data=b""):
        """Run a program: exit status, standard output and standard error."""
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            cwd="/",
            env={"PATH": os.defpath, "PYTHONPATH": self.site},
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def twistd(self, *arguments, data=b""):
        twistd = os.path.join(self.site, "bin", "twistd")
        return self.run_program(sys.executable, twistd, *arguments, data=data)

    def test_twistd_knows_it_without_a_noise(self):
        status, said, complaint = self.twistd("--help")
        self.assertIn("Receive mail in the place of qmail-smtpd.", said)
        self.assertIn("Say how to treat mail clients.", said)
        self.assertEqual((status, complaint), (0, ""))

    def test_the_plugins_are_the_installed_ones(self):
        for name in ("mvmtr", "mvmcas"):
            expected = (0, f"{name} {__version__}\n", "")
            self.assertEqual(self.twistd(name, "--version"), expected)

    def test_a_session_has_nothing_but_its_own_lines_in_the_log(self):
        home = folder(self)
        control = control_folder(home, {"me": "mx.example", "rcpthosts": "a.example"})
        status, said, logged = self.twistd(
            "mvmtr", "--stdio", f"--control-dir={control}", data=b"QUIT\r\n"
        )
        self.assertEqual((status, said[:4]), (0, "220 "))
        self.assertRegex(logged, r"\Amvmtr: event=connection [^\n]*\n\Z")

    def test_a_listening_server_says_nothing_of_plugins(self):
        twistd = os.path.join(self.site, "bin", "twistd")
        server = subprocess.Popen(
            [
                sys.executable, twistd, "-n", "--pidfile=", "mvmtr", "--no-qmail",
                "--queue=discard:", "--listen=tcp:0:interface=127.0.0.1",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.defpath, "PYTHONPATH": self.site},
        )  # fmt: skip
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        said = b""
        while b"starting up" not in said:
            line = server.stdout.readline()
            self.assertTrue(line, said)
            said += line
        server.terminate()
        said += server.communicate(timeout=60)[0]
        self.assertIn(b"listening on", said)
        self.assertNotIn(b"plugin", said)
        self.assertNotIn(b"Traceback", said)

    def test_the_console_script_is_there(self):
        script = os.path.join(self.site, "bin", "mvmtr")
        expected = (0, f"mvmtr {__version__}\n", "")
        self.assertEqual(self.run_program(sys.executable, script, "--version"), expected)

    def test_the_launcher_is_compiled_where_there_is_a_compiler(self):
        launcher = os.path.join(self.site, "bin", "mvmtr-handoff")
        with open(launcher, "rb") as file:
            is_program = file.read(4) == b"\x7fELF"
        self.assertEqual(is_program, shutil.which("cc") is not None)
        (wheel,) = os.listdir(os.path.join(self.site, "..", "wheels"))
        self.assertEqual(wheel.endswith("-py3-none-any.whl"), not is_program)
        self.assert_explains(launcher)

    def test_without_a_compiler_the_launcher_is_a_script_and_the_wheel_for_all_machines(self):
        home = folder(self)
        wheel(os.path.join(self.site, "..", "source"), home, CC="no-such-compiler")
        (name,) = os.listdir(home)
        self.assertEqual(name, f"mvmtr-{__version__}-py3-none-any.whl")
        target = home / "target"
        subprocess.run([*PIP, "install", "--no-deps", "--target", target, home / name], check=True)
        launcher = target / "bin" / "mvmtr-handoff"
        self.assertEqual(launcher.read_bytes()[:10], b"#!/bin/sh\n")
        self.assert_explains(launcher)

    def assert_explains(self, launcher):
        status, said, complaint = self.run_program(launcher)
        self.assertEqual((status, said), (1, ""))
        self.assertTrue(complaint.startswith("mvmtr-handoff: usage: mvmtr-handoff SOCKET"))

    def test_the_plugin_file_loads_nothing_heavy(self):
        code = (
            "import sys, twisted.plugins.mvmtr_plugin;"
            "print([name for name in sys.modules if name.startswith('mvmtr.')"
            " or name == 'twisted.internet.reactor'])"
        )
        self.assertEqual(self.run_program(sys.executable, "-c", code), (0, "[]\n", ""))
