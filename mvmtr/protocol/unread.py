# -*- test-case-name: mvmtr.test.test_unread -*-
"""Whether a client has sent something, told without reading it."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any

from twisted.internet.interfaces import ISSLTransport


def something_to_read(transport: Any) -> bool | None:
    """
    Whether bytes wait to be read from a transport: a TCP connection, or pipes.

    @return: C{None} for those where nobody can tell, such as TLS. The end of the input is
        nothing to read.
    """
    if ISSLTransport.providedBy(transport):
        return None
    source: Any = transport if hasattr(transport, "fileno") else getattr(transport, "_reader", None)
    if not hasattr(source, "fileno"):
        return None
    count = bytearray(struct.calcsize("i"))
    try:
        fcntl.ioctl(source.fileno(), termios.FIONREAD, count)
    except (OSError, ValueError):
        return None
    return bool(struct.unpack("i", count)[0])
