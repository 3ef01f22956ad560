"""TLS on the listeners: who is let in, and certificates that change under load."""

import socket
import ssl
import subprocess
import threading
import time

import grpc
import pytest

import cases
import certificates
import program

RULES = """
domain: tls
descriptors:
  - key: client
    rate_limit: {unit: second, requests_per_unit: 1000000}
"""
# A change is in effect within this; generous on a busy machine.
RELOAD_SECONDS = 2
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory):
    return certificates.Authority(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def server_pair(authority):
    return authority.issue()


@pytest.fixture(scope="module")
def client_pair(authority):
    return authority.issue("URI:spiffe://test/envoy,DNS:envoy.test,IP:10.1.2.3")


@pytest.fixture
def start(binary, tmp_path):
    """Starts programs with these settings; they must end well after the test."""
    started = []

    def run(*flags, **env):
        folder = tmp_path / f"weir{len(started)}"
        (folder / "rules").mkdir(parents=True)
        (folder / "rules" / "rules.yaml").write_text(RULES)
        setup = cases.Setup(flags=flags, env_items=tuple(env.items()))
        started.append(program.Program(binary, folder, setup))
        return started[-1]
    yield run
    for weir in started:
        print(weir.output("stderr"))
        weir.stop()


def tls_flags(pair, listener="grpc"):
    return [f"--{listener}-tls-cert={pair.certificate}", f"--{listener}-tls-key={pair.key}"]


def channel_to(address, authority, pair=None):
    """A new connection of its own."""
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(), pair.key.read_bytes() if pair else None,
        pair.certificate.read_bytes() if pair else None)
    return grpc.secure_channel(address, credentials, [("grpc.use_local_subchannel_pool", 1)])


def check(api, address, authority, pair=None, timeout=10):
    """One decision on a connection of its own."""
    request = api.limiter.CheckRequest(
        domain="tls", descriptors=[{"entries": [{"key": "client", "value": "1"}]}])
    with channel_to(address, authority, pair) as channel:
        return api.limiter_grpc.LimiterStub(channel).Check(request, timeout=timeout).allowed


def refusal(api, address, authority, pair=None):
    """The status of a call that must not be answered."""
    with pytest.raises(grpc.RpcError) as error:
        check(api, address, authority, pair)
    return error.value


def connect(address, authority, pair=None, version=None):
    """(version of TLS, serial) of a connection on which the server spoke HTTP/2."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_alpn_protocols(["h2"])
    if version is not None:
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(PREFACE)
            if not connection.recv(9):
                raise ConnectionError("the server closed the connection")
            return connection.version(), connection.getpeercert()["serialNumber"]


def serial_of(weir, *arguments, **options):
    return connect(weir.addresses["grpc"], *arguments, **options)[1]


def metrics(weir, authority=None):
    return https_get(weir, "/metrics", authority) if authority else weir.http("/metrics")[2]


def value(text, series):
    values = [line.rpartition(" ")[2] for line in text.splitlines()
              if line.startswith(series + " ")]
    return float(values[0]) if values else None


def https_get(weir, path, authority):
    context = ssl.create_default_context(cafile=str(authority.certificate))
    host, port = weir.addresses["http"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                               .encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return body.decode()


def test_server_certificate(start, api, authority, other_authority, server_pair):
    weir = start(*tls_flags(server_pair))
    address = weir.addresses["grpc"]
    assert check(api, address, authority)
    assert refusal(api, address, other_authority).code() == grpc.StatusCode.UNAVAILABLE
    assert connect(address, authority) == ("TLSv1.3", server_pair.serial)
    assert connect(address, authority, version=ssl.TLSVersion.TLSv1_2)[0] == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(address, authority, version=ssl.TLSVersion.TLSv1_1)
    # The plain port is gone.
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
        api.limiter_grpc.LimiterStub(channel).Check(api.limiter.CheckRequest(), timeout=5)
