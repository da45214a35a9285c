"""Ports for servers to listen on, each given out once while its asker lives."""
import random
import socket

FIRST, COUNT = 20000, 12000  # below those that the kernel gives to whoever connects
reserved = []


def free_port():
    """A port that nobody listens on and no other test on this machine has been given. What marks it as given is a socket with a
    name that only one process can have; it goes with the process."""
    choice = random.SystemRandom()
    while True:
        port = FIRST + choice.randrange(COUNT)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0sidestream-test-port-{port}")
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        reserved.append(mark)
        return port
