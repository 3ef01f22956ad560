"""One gRPC call over hand-made HTTP/2 frames, for what a well-behaved client never sends."""

import re
import socket
import struct

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4


def _frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def _literal(name, value):
    """A header field without indexing, both texts plain and shorter than 127 bytes."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
    return data


def call(address, path, message, headers, timeout_seconds):
    """The gRPC status as text, or "reset" if the server reset the stream."""
    host, _, port = address.rpartition(":")
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": address,
              "content-type": "application/grpc", "te": "trailers", **headers}
    block = b"".join(_literal(name, value) for name, value in fields.items())
    body = b"\0" + struct.pack(">I", len(message)) + message
    with socket.create_connection((host, int(port)), timeout_seconds) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b"") +
            _frame(_HEADERS, _END_HEADERS, 1, block) + _frame(_DATA, _END_STREAM, 1, body))
        while True:
            head = _receive(connection, 9)
            size = struct.unpack(">I", b"\0" + head[:3])[0]
            payload = _receive(connection, size)
            kind, flags = head[3], head[4]
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                connection.sendall(_frame(_PING, _ACK, 0, payload))
            elif kind == _RST_STREAM:
                return "reset"
            elif kind == _GOAWAY:
                raise ConnectionError(f"the server went away: {payload!r}")
            elif kind == _HEADERS:
                # The server sends names and digits plain, so that no table is needed to find it.
                found = re.search(rb"grpc-status[\x01\x02](\d{1,2})", payload)
                if found:
                    return found[1].decode()
                if flags & _END_STREAM:
                    raise ConnectionError(f"no grpc-status in {payload!r}")
