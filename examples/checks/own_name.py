"""A check that refuses clients which greet mvmtr with its own name."""

from zope.interface import implementer

from mvmtr.interfaces import ICheck
from mvmtr.session import Reject, Stage


@implementer(ICheck)
class OwnName:
    """Nobody but this host has the name of this host."""

    name = "own_name"
    stages = frozenset({Stage.HELO})

    def check(self, session, stage, argument):
        """The argument is the name that the client gave with HELO or EHLO."""
        own = session.settings.usehostname
        if not own or argument.lower() != own.lower():
            return None
        return Reject(550, "5.7.1 that is my name, not yours", reason="HELO with our own name")
