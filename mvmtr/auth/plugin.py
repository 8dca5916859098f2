# -*- test-case-name: mvmtr.test.test_auth_options -*-
"""
What Twisted's own C{--auth} strings need to know of mvmtr's checkers, for other programs
too. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(ICheckerFactory, IPlugin)
class CheckPasswordFactory:
    """Makes checkers that ask a program."""

    authType = "checkpassword"
    authHelp = """
    Runs a program with the checkpassword interface for each login: it reads the user, the
    password and a timestamp from descriptor 3, each with a NUL behind it, and runs the
    program behind its arguments, here /bin/true, if the password is right.

    With cram: in front the fields are user, response and challenge of CRAM-MD5.
    """
    argStringFormat = "[cram:]PROGRAM [ARGUMENT]..."
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argument: str) -> Any:
        """See L{ICheckerFactory}."""
        from mvmtr.auth.checkpassword import CheckPassword

        return CheckPassword(argument)


@implementer(ICheckerFactory, IPlugin)
class ScramFactory:
    """Makes checkers with a file of salted keys."""

    authType = "scram"
    authHelp = """
    A file with one line for each user, as "mvmtr password USER" prints it: salted keys from
    which no password can be computed.
    """
    argStringFormat = "FILE"
    credentialInterfaces = (IUsernamePassword,)

    def generateChecker(self, argument: str) -> Any:
        """See L{ICheckerFactory}."""
        from mvmtr.auth.scram import ScramFile

        return ScramFile(argument)
