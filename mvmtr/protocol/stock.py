"""
C{twisted.mail.smtp}, without the question that it asks the DNS whenever it is imported.

It looks up this machine's full name, which can take seconds, and mvmtr has no use for it.
"""

from __future__ import annotations

import socket
import sys
from importlib import import_module

if "twisted.mail.smtp" not in sys.modules:
    _getfqdn = socket.getfqdn
    socket.getfqdn = lambda name="": name or socket.gethostname()
    try:
        import_module("twisted.mail.smtp")
    finally:
        socket.getfqdn = _getfqdn

from twisted.mail.smtp import ESMTP, SMTPServerError

__all__ = ["ESMTP", "SMTPServerError"]
