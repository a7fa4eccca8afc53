# SPDX-License-Identifier: GPL-2.0-only
"""The peer that echoes what it gets, where a target has Python: `python3 echo.py PORT`."""

import socket
import sys
import threading


def echo(connection: socket.socket) -> None:
    """Send back all that comes, until the other side closes."""
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def serve(port: int) -> None:
    """Take connections over IPv4 and IPv6, for ever."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server(("", port), family=family, dualstack_ipv6=both) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
