# -*- test-case-name: mvmtr.test.test_imports -*-
"""
The reactor, without OpenSSL.

Twisted loads OpenSSL with its reactor, where it is installed. That is a sixth of the time that a
process takes to begin, which is much when it serves one session, and that without TLS.
"""

from __future__ import annotations

import sys
from typing import Any


def plain_reactor() -> Any:
    """
    Install the reactor as Twisted does where there is no OpenSSL.

    Its transports have no C{startTLS} then, and it neither listens nor connects with TLS.
    Whatever is imported later finds OpenSSL again. A reactor that is there already stays.
    """
    # None is what Python's import takes for "can't be imported".
    hidden = "twisted.internet.tcp" not in sys.modules and "OpenSSL" not in sys.modules
    if hidden:
        sys.modules["OpenSSL"] = None  # type: ignore[assignment]
    try:
        from twisted.internet import reactor
    finally:
        if hidden:
            del sys.modules["OpenSSL"]
    return reactor
