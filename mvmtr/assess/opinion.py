"""What one assessor says. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from mvmtr.assess.hint import Hint
from mvmtr.assess.records import Changes


@dataclass(frozen=True)
class Opinion:
    """
    @ivar hint: how to treat the client, if the assessor has anything to say.
    @ivar changes: what is to be remembered.
    @ivar is_last: whether nobody else need be asked, whatever the hint is. With an action
        other than C{dunno} nobody is asked anyway.
    """

    hint: Hint | None = None
    changes: Changes = field(default_factory=dict)
    is_last: bool = False


NONE = Opinion()
