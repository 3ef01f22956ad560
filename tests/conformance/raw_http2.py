"""gRPC calls over hand-made HTTP/2 frames, for what a well-behaved client never sends."""

import re
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def reset_frame(stream):
    """What a client sends that no longer waits for this call."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", 8))


def _literal(name, value):
    """A header field without indexing, both texts plain and shorter than 127 bytes."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def headers_frame(address, stream, path, headers=()):
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": address,
              "content-type": "application/grpc", "te": "trailers", **dict(headers)}
    block = b"".join(_literal(name, value) for name, value in fields.items())
    return frame(HEADERS, END_HEADERS, stream, block)


def call_frames(address, stream, path, message, headers=()):
    """A whole unary call."""
    body = b"\0" + struct.pack(">I", len(message)) + message
    return headers_frame(address, stream, path, headers) + frame(DATA, END_STREAM, stream, body)


def connect(address, timeout_seconds):
    """A connection that has sent what comes before all calls."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout_seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b""))
    return connection


def _receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
    return data


def read_frame(connection):
    """(kind, flags, stream, payload) of the next frame."""
    head = _receive(connection, 9)
    size, stream = struct.unpack(">I", b"\0" + head[:3])[0], struct.unpack(">I", head[5:])[0]
    return head[3], head[4], stream, _receive(connection, size)


def call(address, path, message, headers, timeout_seconds):
    """The gRPC status as text, or "reset" if the server reset the stream."""
    with connect(address, timeout_seconds) as connection:
        connection.sendall(call_frames(address, 1, path, message, headers))
        while True:
            kind, flags, _, payload = read_frame(connection)
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                connection.sendall(frame(PING, ACK, 0, payload))
            elif kind == RST_STREAM:
                return "reset"
            elif kind == GOAWAY:
                raise ConnectionError(f"the server went away: {payload!r}")
            elif kind == HEADERS:
                # The server sends names and digits plain, so that no table is needed to find it.
                found = re.search(rb"grpc-status[\x01\x02](\d{1,2})", payload)
                if found:
                    return found[1].decode()
                if flags & END_STREAM:
                    raise ConnectionError(f"no grpc-status in {payload!r}")
