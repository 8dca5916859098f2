"""
A stand-in for sslserver, which is not in Debian: one connection, and UCSPI-TLS for its child.

C{sslserver.py CERTIFICATE PROGRAM...} prints its port; C{IMPLICIT} in the environment is TLS
from the first byte. With C{FAIL} in the environment it ends when it is asked for TLS.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import subprocess
import sys


def carry(client: ssl.SSLSocket, reading: int, writing: int) -> None:
    """Between the client and the child, until one of them is gone."""
    selector = selectors.DefaultSelector()
    selector.register(client, selectors.EVENT_READ)
    selector.register(reading, selectors.EVENT_READ)
    while True:
        for key, _events in selector.select():
            if key.fileobj is client:
                data = client.recv(65536)
                if not data:
                    return
                os.write(writing, data)
            else:
                data = os.read(reading, 65536)
                if not data:
                    return
                client.sendall(data)


def main(certificate: str, *program: str) -> int:
    """Serve one connection."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    client, (address, _port) = listener.accept()
    listener.close()
    ours, control = socket.socketpair()
    to_child, from_parent = os.pipe()[::-1]
    to_parent, from_child = os.pipe()[::-1]
    variables = {**os.environ, "PROTO": "SSL", "TCPREMOTEIP": address}
    first: object = client
    if "IMPLICIT" in os.environ:
        client = context.wrap_socket(client, server_side=True)
        variables.update(SSL_PROTOCOL=client.version(), SSL_CIPHER=client.cipher()[0])
    else:
        variables["SSLCTLFD"] = str(control.fileno())
        variables["SSLREADFD"], variables["SSLWRITEFD"] = str(from_parent), str(to_parent)
        variables.setdefault("UCSPITLS", "")
    pipes = from_parent, to_parent
    child = subprocess.Popen(
        program,
        stdin=pipes[0] if "IMPLICIT" in os.environ else first.fileno(),
        stdout=pipes[1] if "IMPLICIT" in os.environ else first.fileno(),
        pass_fds=(control.fileno(), *pipes),
        env=variables,
    )
    control.close()
    os.close(from_parent)
    os.close(to_parent)
    if "IMPLICIT" not in os.environ:
        if ours.recv(1) != b"Y" or "FAIL" in os.environ:
            client.close()
            ours.close()
            return child.wait()
        client = context.wrap_socket(client, server_side=True)
        told = {"SSL_PROTOCOL": client.version(), "SSL_CIPHER": client.cipher()[0]}
        answer = b"".join(f"{name}={value}".encode() + b"\0" for name, value in told.items())
        for piece in (answer[:7], answer[7:], b"\0"):
            ours.sendall(piece)
        ours.close()
    carry(client, from_child, to_child)
    client.close()
    os.close(to_child)
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
