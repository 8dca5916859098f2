"""What a session works with: settings, policy and queue, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mvmtr.interfaces import IQueue
from mvmtr.policy import Policy
from mvmtr.settings import Settings


@dataclass(frozen=True)
class Configuration:
    """
    A session keeps the one that it started with, whatever is edited meanwhile.

    @ivar tls: the certificates of this server, or C{None}.
    @ivar followers: are told what becomes of sessions, see
        L{Follower<mvmtr.protocol.journal.Follower>}.
    """

    settings: Settings
    policy: Policy
    queue: IQueue
    tls: Any = None
    followers: tuple[Any, ...] = ()
