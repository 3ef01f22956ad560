"""RESP2, Redis' protocol: encodes commands, decodes replies, cuts a byte stream into frames."""

import socket

CRLF = b"\r\n"


class Error(Exception):
    """An error reply; its first word names the kind ("NOAUTH", "OOM", …)."""

    @property
    def kind(self):
        return str(self).partition(" ")[0]


def encode(*arguments):
    """One command as an array of bulk strings."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def frame_end(data, start=0):
    """Where the frame (a command or a reply) that begins at `start` ends; None: not complete."""
    owed = 1  # values still to come, nested arrays included
    at = start
    while owed:
        line_end = data.find(CRLF, at)
        if line_end < 0:
            return None
        kind, rest = data[at:at + 1], data[at + 1:line_end]
        at = line_end + 2
        owed -= 1
        if kind == b"*":
            owed += max(int(rest), 0)
        elif kind == b"$" and int(rest) >= 0:
            at += int(rest) + 2
            if at > len(data):
                return None
        elif kind not in b"+-:$":
            raise ValueError(f"not RESP: {bytes(data[start:start + 40])!r}")
    return at


class Splitter:
    """Cuts a byte stream into whole frames."""

    def __init__(self):
        self._held = bytearray()

    def feed(self, data):
        """The frames that are complete now, each as the bytes it came in."""
        self._held += data
        frames = []
        at = 0
        while at < len(self._held):
            end = frame_end(self._held, at)
            if end is None:
                break
            frames.append(bytes(self._held[at:end]))
            at = end
        del self._held[:at]
        return frames


def decode(frame):
    """The value of one whole frame: bytes, int, list, None or an Error (as a value)."""
    return _decode(frame, 0)[0]


def _decode(data, at):
    line_end = data.index(CRLF, at)
    kind, rest = data[at:at + 1], data[at + 1:line_end]
    at = line_end + 2
    if kind == b"*":
        if int(rest) < 0:
            return None, at
        values = []
        for _ in range(int(rest)):
            value, at = _decode(data, at)
            values.append(value)
        return values, at
    if kind == b"$":
        if int(rest) < 0:
            return None, at
        return data[at:at + int(rest)], at + int(rest) + 2
    if kind == b":":
        return int(rest), at
    return (Error(rest.decode(errors="replace")) if kind == b"-" else rest), at


class Connection:
    """One connection of a test's own, one command at a time."""

    def __init__(self, address, timeout_s=5.0):
        """`address`: (host, port), or the path of a Unix socket."""
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._splitter = Splitter()
        self._frames = []
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def send(self, *arguments):
        self._socket.sendall(encode(*arguments))

    def receive(self):
        """The next reply; raises Error for an error reply, OSError when there is none in time."""
        while not self._frames:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._frames += self._splitter.feed(data)
        value = decode(self._frames.pop(0))
        if isinstance(value, Error):
            raise value
        return value

    def call(self, *arguments):
        self.send(*arguments)
        return self.receive()
