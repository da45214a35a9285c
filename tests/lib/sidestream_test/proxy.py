"""A TCP proxy on loopback that can cut its connections, slow them down, or swallow what passes.

`up` is from the client (the sidecar) to the server, `down` the way back.
"""
import socket
import threading
import time

BOTH = ("up", "down")


class Proxy:
    def __init__(self, port, host="127.0.0.1"):
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        self.pairs, self.lock = [], threading.Lock()
        self.hole = threading.Event()  # set: bytes are read and thrown away, new connections hang
        self.refuse = False
        self.sent = None  # a list: gets what goes up
        self.calm()
        threading.Thread(target=self._accept, daemon=True).start()

    def calm(self):
        """Everything passes again; a swallowed byte stays swallowed, so cut() after a hole."""
        self.hole.clear()
        self.refuse = False
        self.frozen = ()    # directions in which nothing is read: it waits and is not lost
        self.swallow = ()   # directions whose bytes are thrown away
        self.latency = 0.0  # seconds before each piece
        self.rate = 0       # bytes a second in pieces of at most 100 bytes; 0: no limit
        self.cut_after = {}  # direction -> bytes that still pass before a reset in the middle

    def retarget(self, port):
        """Later connections go to another server."""
        self.target = ("127.0.0.1", port)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(self.target, 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            pair = (client, server)
            with self.lock:
                self.pairs.append(pair)
            for way, source, sink in (("up", client, server), ("down", server, client)):
                threading.Thread(target=self._pump, args=(pair, way, source, sink), daemon=True).start()

    def _pump(self, pair, way, source, sink):
        try:
            while True:
                while way in self.frozen:
                    time.sleep(0.02)
                data = source.recv(1 << 16 if not self.rate else 100)
                while way in self.frozen:
                    time.sleep(0.02)
                if not data:
                    return
                if way == "up" and self.sent is not None:
                    self.sent.append(data)
                if self.latency:
                    time.sleep(self.latency)
                if self.rate:
                    time.sleep(len(data) / self.rate)
                if self.hole.is_set() or way in self.swallow:
                    continue
                left = self.cut_after.get(way)
                if left is not None and left < len(data):
                    self.cut_after.pop(way, None)
                    sink.sendall(data[:left])
                    return reset(pair)
                if left is not None:
                    self.cut_after[way] = left - len(data)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)  # the other direction's recv ends, too
                except OSError:
                    pass
            source.close()

    def cut(self):
        """Every connection ends now, with a reset."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            reset(pair)

    def close(self):
        self.listener.close()
        self.calm()
        self.cut()


def reset(pair):
    for s in pair:
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
