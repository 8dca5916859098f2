"""
Compiles the launcher where there is a C compiler; all else about the package is in setup.cfg.

Without one, or where it fails, the launcher in Python is installed under the same name.
"""

import os
import shutil
import subprocess

from setuptools import setup  # first, for it brings distutils
from setuptools.command.bdist_wheel import bdist_wheel

from distutils.command.build_scripts import build_scripts  # isort: skip

LAUNCHER = "mvmtr-handoff"
SOURCE = f"mvmtr/launcher/{LAUNCHER}.c"


def compiler():
    """The command of the C compiler, or None."""
    command = os.environ.get("CC", "cc").split()
    return command if command and shutil.which(command[0]) else None


class BuildScripts(build_scripts):
    """Puts the compiled launcher in the place of the script."""

    def run(self):
        super().run()
        command = compiler()
        if command is None:
            return
        made = os.path.join(self.build_dir, f"{LAUNCHER}.new")
        try:
            subprocess.run([*command, "-std=c99", "-O2", "-o", made, SOURCE], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.announce(f"the launcher stays the one in Python: {error}", 3)
        else:
            os.replace(made, os.path.join(self.build_dir, LAUNCHER))


class BuildWheel(bdist_wheel):
    """With a compiled program a wheel is for one kind of machine, and for any Python."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = self.root_is_pure and compiler() is None

    def get_tag(self):
        _python, _abi, platform = super().get_tag()
        return "py3", "none", platform


setup(cmdclass={"build_scripts": BuildScripts, "bdist_wheel": BuildWheel})
