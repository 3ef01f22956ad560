"""TLS on the listeners: who is let in, and certificates that change under load."""

import contextlib
import select
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
STALL_SECONDS = 5
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
        context.minimum_version = context.maximum_version = version
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


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_server_certificate(start, api, authority, other_authority, server_pair):
    weir = start(*tls_flags(server_pair))
    address = weir.addresses["grpc"]
    assert check(api, address, authority)
    assert refusal(api, address, other_authority).code() == grpc.StatusCode.UNAVAILABLE
    assert connect(address, authority) == ("TLSv1.3", server_pair.serial)
    assert connect(address, authority, version=ssl.TLSVersion.TLSv1_2)[0] == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(address, authority, version=ssl.TLSVersion.TLSv1_1)
    program.poll(lambda: "unsupported protocol" in weir.output("stderr"), 10, "the reason")
    # The plain port is gone.
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
        api.limiter_grpc.LimiterStub(channel).Check(api.limiter.CheckRequest(), timeout=5)


def test_version_13_only(start, api, authority, server_pair):
    weir = start(*tls_flags(server_pair), "--grpc-tls-min-version=1.3")
    address = weir.addresses["grpc"]
    assert check(api, address, authority)
    assert connect(address, authority)[0] == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(address, authority, version=ssl.TLSVersion.TLSv1_2)
    program.poll(lambda: "no shared cipher" in weir.output("stderr"), 10, "the reason")


def test_client_certificates(start, api, authority, other_authority, server_pair, client_pair):
    weir = start(*tls_flags(server_pair), f"--grpc-tls-client-ca={authority.certificate}")
    address = weir.addresses["grpc"]
    assert check(api, address, authority, client_pair)
    for stranger in (None, other_authority.issue()):
        assert refusal(api, address, authority, stranger).code() == grpc.StatusCode.UNAVAILABLE
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connect(address, authority, stranger)
    assert value(metrics(weir), "weir_tls_clients_refused_total") is None


@pytest.mark.parametrize("name", ["spiffe://test/envoy", "envoy.test", "10.1.2.3"])
def test_name_of_the_client(start, api, authority, server_pair, client_pair, name):
    weir = start(*tls_flags(server_pair), f"--grpc-tls-client-ca={authority.certificate}",
                 f"--grpc-tls-client-sans=nobody,{name}")
    address = weir.addresses["grpc"]
    assert check(api, address, authority, client_pair)
    # Another kind of name with the same text is another name.
    namesake = authority.issue(f"{'URI' if '://' not in name else 'DNS'}:{name},DNS:a.{name}")
    error = refusal(api, address, authority, namesake)
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "--grpc-tls-client-sans" in error.details()
    assert value(metrics(weir), "weir_tls_clients_refused_total") == 1
    # Health and reflection are as closed as decisions are.
    with channel_to(address, authority, namesake) as channel:
        for method in ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
                       "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"):
            call = channel.unary_stream(method)
            with pytest.raises(grpc.RpcError) as refused:
                list(call(b"", timeout=10))
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED, method
    assert value(metrics(weir), "weir_tls_clients_refused_total") == 4


class Load:
    """1,000 calls a second on four clients; each makes a new connection every 50 calls."""

    THREADS = 4
    RATE = 1000

    def __init__(self, api, address, authority, pair):
        self.calls = 0
        self.errors = []
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(api, address, authority, pair))
                         for _ in range(self.THREADS)]

    def _run(self, api, address, authority, pair):
        request = api.limiter.CheckRequest(
            domain="tls", descriptors=[{"entries": [{"key": "client", "value": "1"}]}])
        due = time.monotonic()
        while not self._ended.is_set():
            with channel_to(address, authority, pair) as channel:
                stub = api.limiter_grpc.LimiterStub(channel)
                for _ in range(50):
                    try:
                        assert stub.Check(request, timeout=20).allowed
                    except Exception as error:  # whatever it is, a call was lost
                        self.errors.append(error)
                    with self._lock:
                        self.calls += 1
                    due += self.THREADS / self.RATE
                    self._ended.wait(max(0, due - time.monotonic()))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        for thread in self._threads:
            thread.join()


def rotations(scale):
    return max(3, int(2 * scale))


def wait_for_serial(weir, serial, *arguments):
    """Seconds until new connections see it."""
    began = time.monotonic()
    program.poll(lambda: serial_of(weir, *arguments) == serial, 10, "the new certificate")
    return time.monotonic() - began


def test_rotation_under_load(start, api, authority, server_pair, client_pair, tmp_path, scale,
                             report):
    """A mounted Secret is swapped; no call fails, and who is connected stays so."""
    secret = certificates.Mounted(tmp_path / "secret")
    secret.put(server_pair, authority)
    weir = start(f"--grpc-tls-cert={secret.certificate}", f"--grpc-tls-key={secret.key}",
                 f"--grpc-tls-client-ca={secret.ca}")
    address = weir.addresses["grpc"]
    expiry = 'weir_tls_cert_expiry_timestamp_seconds{listener="grpc"}'
    assert value(metrics(weir), expiry) == server_pair.expiry
    took = []
    began = time.monotonic()
    with channel_to(address, authority, client_pair) as kept, \
            Load(api, address, authority, client_pair) as load:
        health = kept.unary_unary("/grpc.health.v1.Health/Check")
        for turn in range(rotations(scale)):
            calls = load.calls
            pair = authority.issue(days=3 + turn)
            secret.put(pair, authority)
            took.append(wait_for_serial(weir, pair.serial, authority, client_pair))
            assert value(metrics(weir), expiry) == pair.expiry
            assert health(b"", timeout=20) is not None
            program.poll(lambda: load.calls >= calls + 500, 30, "load after the rotation")
    seconds = time.monotonic() - began
    assert not load.errors, load.errors[:3]
    assert max(took) < RELOAD_SECONDS
    reloads = 'weir_tls_reloads_total{listener="grpc",result="%s"}'
    assert value(metrics(weir), reloads % "success") == len(took)
    assert value(metrics(weir), reloads % "failure") == 0
    report("certificate rotation", f"{len(took)} of them, {load.calls} calls in {seconds:.1f} s, "
           f"none failed; in effect after {max(took):.2f} s at most")


def test_client_ca_is_rotated(start, api, authority, other_authority, server_pair, client_pair,
                              tmp_path):
    secret = certificates.Mounted(tmp_path / "secret")
    secret.put(server_pair, authority)
    weir = start(f"--grpc-tls-cert={secret.certificate}", f"--grpc-tls-key={secret.key}",
                 f"--grpc-tls-client-ca={secret.ca}")
    address = weir.addresses["grpc"]
    assert check(api, address, authority, client_pair)
    secret.put(server_pair, other_authority)
    newcomer = other_authority.issue()
    program.poll(lambda: accepted(api, address, authority, newcomer), 10, "the new CA")
    assert refusal(api, address, authority, client_pair).code() == grpc.StatusCode.UNAVAILABLE


def accepted(api, address, authority, pair):
    try:
        return check(api, address, authority, pair)
    except grpc.RpcError:
        return False


def test_half_a_pair(start, authority, tmp_path):
    """A key that does not match keeps the last good pair, and is told once."""
    first, second = authority.issue(), authority.issue()
    files = certificates.Pair(tmp_path, "live")
    for target, source in ((files.certificate, first.certificate), (files.key, first.key)):
        certificates.replace(target, source)
    weir = start(*tls_flags(files))
    certificates.replace(files.certificate, second.certificate)
    failures = 'weir_tls_reloads_total{listener="grpc",result="failure"}'
    program.poll(lambda: value(metrics(weir), failures) == 1, 10, "the refused pair")
    assert serial_of(weir, authority) == first.serial
    weir.signal("HUP")  # asked again, it still is the same
    certificates.replace(files.key, second.key)
    wait_for_serial(weir, second.serial, authority)
    lines = [line for line in weir.output("stderr").splitlines() if " error " in line]
    assert len(lines) == 1 and "grpc-tls-key" in lines[0] and str(files.key) in lines[0], lines
    assert "is not the key of the certificate" in lines[0] and "stays in use" in lines[0]
    assert value(metrics(weir), failures) == 1
    # Gone altogether.
    files.certificate.unlink()
    program.poll(lambda: value(metrics(weir), failures) == 2, 10, "the missing file to be told")
    assert serial_of(weir, authority) == second.serial


def test_http_listener(start, authority, server_pair):
    files = certificates.Pair(server_pair.key.parent, "http")
    certificates.replace(files.certificate, server_pair.certificate)
    files.certificate.write_bytes(server_pair.certificate.read_bytes() +
                                  server_pair.key.read_bytes())
    weir = start(f"--http-tls-cert={files.certificate}")  # the key is in the same file
    expiry = 'weir_tls_cert_expiry_timestamp_seconds{listener="http"}'
    assert https_get(weir, "/readyz", authority).strip() == "OK"
    assert value(metrics(weir, authority), expiry) == server_pair.expiry
    assert weir.http("/config", listener="admin")[0] == 200  # plain, on loopback
    longer = authority.issue(days=9)
    files.certificate.write_bytes(longer.certificate.read_bytes() + longer.key.read_bytes())
    program.poll(lambda: value(metrics(weir, authority), expiry) == longer.expiry, 10,
                 "the new certificate")
    # A client that never begins its handshake holds up nobody.
    host, port = weir.addresses["http"].rsplit(":", 1)
    with socket.create_connection((host, int(port))) as silent:
        assert https_get(weir, "/livez", authority).strip() == "OK"
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert https_get(weir, "/livez", authority).strip() == "OK"


def test_many_requests_at_once_over_https(start, authority, server_pair):
    weir = start(f"--http-tls-cert={server_pair.certificate}",
                 f"--http-tls-key={server_pair.key}")
    host, port = weir.addresses["http"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=authority.certificate)
    # Together more than Weir holds unread, so that it stops reading on the way.
    request, count = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 5000
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            assert answered_at_once(connection, request, count) == count


def answered_at_once(connection, request, count):
    """How many of so many requests are answered, which are sent while answers are read, until none
    comes for a while. On one thread: a TLS session may not be used by two."""
    connection.setblocking(False)
    answers, to_send = b"", memoryview(request * count)
    while answers.count(b"HTTP/1.1 200") < count:
        waiting = [connection] if to_send else []
        readable, writable, _ = select.select([connection], waiting, [], STALL_SECONDS)
        if not readable and not writable:
            return answers.count(b"HTTP/1.1 200")
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if writable:
                to_send = to_send[connection.send(to_send[:1 << 14]):]
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while True:
                part = connection.recv(1 << 16)
                if not part:
                    return answers.count(b"HTTP/1.1 200")
                answers += part
    return count


def test_names_of_the_reference(start, api, authority, server_pair, client_pair):
    weir = start(GRPC_SERVER_USE_TLS="true", GRPC_SERVER_TLS_CERT=str(server_pair.certificate),
                 GRPC_SERVER_TLS_KEY=str(server_pair.key),
                 GRPC_CLIENT_TLS_CACERT=str(authority.certificate),
                 GRPC_CLIENT_TLS_SAN="envoy.test")
    address = weir.addresses["grpc"]
    assert check(api, address, authority, client_pair)
    assert refusal(api, address, authority).code() == grpc.StatusCode.UNAVAILABLE
    error = refusal(api, address, authority, server_pair)
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


def test_unix_socket_stays_plain(start, server_pair, tmp_path):
    socket_path = tmp_path / "s"
    weir = start(*tls_flags(server_pair), f"--grpc-listen=unix:{socket_path}")
    with grpc.insecure_channel(f"unix:{socket_path}") as channel:
        channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
    assert "grpc-tls-cert: no effect" in weir.output("stderr")


def run_tool(binary, *arguments):
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, env=program.environment({}))


def test_command_line(start, binary, authority, other_authority, server_pair, client_pair):
    weir = start(*tls_flags(server_pair), f"--grpc-tls-client-ca={authority.certificate}")
    ask = ["--domain=tls", "client=1", f"--server={weir.addresses['grpc']}"]
    ours = [f"--tls-ca={authority.certificate}", f"--tls-cert={client_pair.certificate}",
            f"--tls-key={client_pair.key}"]
    for command in ("check", "explain"):
        done = run_tool(binary, command, *ask, *ours)
        assert done.returncode == 0 and "allowed" in done.stdout, done.stderr
        named = run_tool(binary, command, *ask, *ours, "--tls-server-name=localhost")
        assert named.returncode == 0, named.stderr
        for wrong in (["--tls-server-name=elsewhere"], [f"--tls-ca={other_authority.certificate}"]):
            refused = run_tool(binary, command, *ask, *ours[1:], *wrong)
            assert refused.returncode == 3 and "cannot ask" in refused.stderr, refused
    assert run_tool(binary, "check", *ask).returncode == 3
    missing = run_tool(binary, "check", *ask, "--tls-ca=/nowhere/ca.crt")
    assert missing.returncode == 2 and "--tls-ca: /nowhere/ca.crt" in missing.stderr
