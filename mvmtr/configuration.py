"""What a session works with: settings, policy and queue, as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass

from mvmtr.interfaces import IQueue
from mvmtr.policy import Policy
from mvmtr.settings import Settings


@dataclass(frozen=True)
class Configuration:
    """A session keeps the one that it started with, whatever is edited meanwhile."""

    settings: Settings
    policy: Policy
    queue: IQueue
