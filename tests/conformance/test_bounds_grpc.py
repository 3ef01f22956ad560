"""The bounds of the gRPC listener, and calls and streams that end before their time."""

import asyncio
import contextlib
import os
import pathlib
import struct
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

import cases
import exposition
import program
import raw_http2

SECONDS = 30
RULES = {"shop.yaml": """
domain: shop
descriptors:
  - {key: user, rate_limit: {unit: year, requests_per_unit: 1000000}}
"""}
SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
PROTO = pathlib.Path(__file__).resolve().parent.parent.parent / "proto"
VERSIONS = pytest.mark.parametrize("version", ["v1", "v1alpha"])


@pytest.fixture
def serve(servers):
    """serve(flag, …): a program of this test, which must end well."""
    with contextlib.ExitStack() as stack:
        def start(*flags):
            running = servers.start(cases.Setup(flags=flags), RULES)
            stack.callback(running.stop)
            return running
        yield start


@pytest.fixture
def ask(api):
    """The question of these tests: one hit of ada."""
    return api.rls.RateLimitRequest(
        domain="shop", descriptors=[{"entries": [{"key": "user", "value": "ada"}]}])


def stub_of(api, channel):
    return api.rls_grpc.RateLimitServiceStub(channel)


@contextlib.contextmanager
def connection_to(running):
    """A connection of its own."""
    with grpc.insecure_channel(running.addresses["grpc"],
                               [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def metric(running, selector):
    return exposition.total(exposition.parse(running.http("/metrics")[2]), selector)


def await_metric(running, selector, value):
    """Counters may lag by a moment; what went beyond the value stays beyond."""
    program.poll(lambda: metric(running, selector) >= value, SECONDS, f"{selector} {value}")
    assert metric(running, selector) == value


def await_no_call(running):
    program.poll(lambda: metric(running, "weir_inflight_requests") == 0, SECONDS,
                 "the end of all calls")


def tasks(running):
    return len(os.listdir(f"/proc/{running.pid}/task"))


def end(running):
    """Tells the program to end; the seconds that took."""
    before = time.monotonic()
    running.signal("TERM")
    assert running.wait() == 0
    return time.monotonic() - before


# ---- reflection


class Reflection:
    """One version of the protocol. The messages of both are the same but for their names."""

    def __init__(self, version, folder):
        path, out = "grpc/reflection/v1/reflection.proto", folder / "set"
        assert protoc.main(["protoc", f"-I{PROTO}", f"--descriptor_set_out={out}", path]) == 0
        pool = descriptor_pool.DescriptorPool()
        pool.Add(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0])
        self.request, self._response = (
            message_factory.GetMessageClass(
                pool.FindMessageTypeByName(f"grpc.reflection.v1.ServerReflection{name}"))
            for name in ("Request", "Response"))
        self._path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"

    def call(self, channel):
        return channel.stream_stream(self._path, self.request.SerializeToString,
                                     self._response.FromString)

    def ask(self, channel, **request):
        answers = list(self.call(channel)(iter([self.request(**request)]), timeout=SECONDS))
        assert len(answers) == 1
        return answers[0]


@pytest.fixture
def reflection(version, tmp_path):
    return Reflection(version, tmp_path)


@VERSIONS
def test_reflection_tells_enough_to_call_a_service(serve, reflection, version):
    """As grpcurl does it: list, ask for the symbol, build the messages from the answer."""
    running = serve()
    channel = running.channels[0]
    listed = reflection.ask(channel, list_services="").list_services_response.service
    assert sorted(service.name for service in listed) == [
        "envoy.service.ratelimit.v3.RateLimitService", "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
        "weir.v1.Limiter"]
    for service in listed:
        answer = reflection.ask(channel, file_containing_symbol=service.name)
        files = [descriptor_pb2.FileDescriptorProto.FromString(data)
                 for data in answer.file_descriptor_response.file_descriptor_proto]
        pool = descriptor_pool.DescriptorPool()
        for file in reversed(files):  # what is imported comes after what imports it
            pool.Add(file)
        assert pool.FindServiceByName(service.name).methods
        if service.name == "weir.v1.Limiter":
            check = pool.FindMethodByName("weir.v1.Limiter.Check")
    request = message_factory.GetMessageClass(check.input_type)(
        domain="shop", descriptors=[{"entries": [{"key": "user", "value": "ada"}]}])
    call = channel.unary_unary("/weir.v1.Limiter/Check", type(request).SerializeToString,
                               message_factory.GetMessageClass(check.output_type).FromString)
    assert call(request, timeout=SECONDS).items[0].remaining == 999_999


@VERSIONS
def test_reflection_says_what_it_does_not_know(serve, reflection, version):
    channel = serve().channels[0]
    for request in ({"file_containing_symbol": "weir.v1.Nothing"},
                    {"file_by_filename": "nothing.proto"},
                    {"all_extension_numbers_of_type": "weir.v1.Nothing"},
                    {"file_containing_extension": {"containing_type": "weir.v1.CheckRequest",
                                                   "extension_number": 7}}):
        answer = reflection.ask(channel, **request)
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        assert answer.original_request == reflection.request(**request)
    code = reflection.ask(channel).error_response.error_code
    assert code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


@VERSIONS
def test_idle_reflection_streams_take_no_thread_and_end_with_the_server(serve, reflection, version):
    running = serve("--drain-max=60s", "--threads=2")
    reflection.ask(running.channels[0], list_services="")
    before = tasks(running)

    async def hold(count):
        async with grpc.aio.insecure_channel(running.addresses["grpc"]) as channel:
            streams = [reflection.call(channel)() for _ in range(count)]
            for stream in streams:
                await stream.write(reflection.request(list_services=""))
            for stream in streams:
                assert len((await stream.read()).list_services_response.service) == 5
            # grpc++ may start one or two more of its own, whatever the number of streams.
            assert tasks(running) <= before + 5
            seconds = await asyncio.to_thread(end, running)
            return seconds, {await stream.code() for stream in streams}

    seconds, codes = asyncio.run(hold(200))
    assert codes == {grpc.StatusCode.UNAVAILABLE}
    assert seconds < 10, "an idle stream must not be waited for until --drain-max"


@VERSIONS
def test_reflection_streams_are_bounded(serve, reflection, version):
    running = serve("--reflection-streams-max=2")
    refused = 'weir_streams_rejected_total{reason="reflection"}'
    assert metric(running, refused) == 0

    async def fill():
        async with grpc.aio.insecure_channel(running.addresses["grpc"]) as channel:
            async def opened():
                stream = reflection.call(channel)()
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stream.write(reflection.request(list_services=""))
                    await stream.read()
                return stream
            kept = [await opened(), await opened()]
            assert not any(stream.done() for stream in kept)
            over = reflection.call(channel)()
            assert await over.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "--reflection-streams-max" in await over.details()
            await asyncio.to_thread(await_metric, running, refused, 1)
            kept.pop().cancel()
            for _ in range(1000):  # the place is free as soon as the server knows
                again = await opened()
                if not again.done():
                    return
            pytest.fail("no stream was accepted after one had left")

    asyncio.run(fill())


# ---- health


def test_health_watchers_beyond_the_bound_are_counted(serve, api):
    running = serve("--health-watchers-max=1")
    refused = 'weir_streams_rejected_total{reason="health_watchers"}'
    assert metric(running, refused) == 0
    health = api.health_grpc.HealthStub(running.channels[0])
    request = api.health.HealthCheckRequest()
    kept = health.Watch(request)
    assert next(kept).status == api.health.HealthCheckResponse.SERVING
    for count in (1, 2):
        with pytest.raises(grpc.RpcError) as error:
            next(health.Watch(request, timeout=SECONDS))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        await_metric(running, refused, count)
    kept.cancel()

    def watched():
        with contextlib.suppress(grpc.RpcError):
            return next(health.Watch(request, timeout=SECONDS))
    program.poll(watched, SECONDS, "a watch after the first one has left")


# ---- calls


def test_calls_beyond_the_bound_in_flight_are_refused_uncharged(serve, api, ask):
    running = serve("--in-flight-max=1", "--threads=2")
    codes = []

    def overloaded():
        with connection_to(running) as channel:
            calls = [stub_of(api, channel).ShouldRateLimit.future(ask, timeout=SECONDS)
                     for _ in range(300)]
            codes.extend(call.code() for call in calls)
        return grpc.StatusCode.RESOURCE_EXHAUSTED in codes
    program.poll(overloaded, SECONDS, "more than one call at a time")
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    shed = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
    await_metric(running, 'weir_shed_total{reason="inflight"}', shed)
    await_metric(running, "weir_hits_total", len(codes) - shed)
    await_no_call(running)
    stub_of(api, running.channels[0]).ShouldRateLimit(ask, timeout=SECONDS)


def test_calls_beyond_the_streams_of_a_connection_wait_at_the_client(serve, api, ask):
    running = serve("--grpc-streams-max=2")
    with connection_to(running) as channel:
        health = api.health_grpc.HealthStub(channel)
        watches = [health.Watch(api.health.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            next(watch)
        waiting = stub_of(api, channel).ShouldRateLimit.future(ask, timeout=SECONDS)
        # Another connection is answered meanwhile.
        stub_of(api, running.channels[0]).ShouldRateLimit(ask, timeout=SECONDS)
        assert not waiting.done()
        watches[0].cancel()
        assert waiting.result(SECONDS).overall_code == api.rls.RateLimitResponse.OK
        watches[1].cancel()


def test_a_client_that_opens_more_streams_is_disconnected(serve):
    running = serve("--grpc-streams-max=2")
    address = running.addresses["grpc"]
    with raw_http2.connect(address, SECONDS) as connection:
        kind, _, _, payload = raw_http2.read_frame(connection)
        assert kind == raw_http2.SETTINGS
        settings = dict(struct.unpack(">HI", payload[i:i + 6]) for i in range(0, len(payload), 6))
        assert settings[3] == 2, "SETTINGS_MAX_CONCURRENT_STREAMS"
        opened = [raw_http2.headers_frame(address, stream, "/grpc.health.v1.Health/Watch")
                  for stream in (1, 3, 5)]
        connection.sendall(raw_http2.frame(raw_http2.SETTINGS, raw_http2.ACK, 0, b"") +
                           b"".join(opened))
        with pytest.raises(ConnectionError):
            while raw_http2.read_frame(connection)[0] != raw_http2.GOAWAY:
                pass
            raise ConnectionError("the server goes away")


def test_large_headers_are_refused_uncharged(serve, api, ask):
    running = serve("--header-bytes-max=2048")
    for size, code in ((1000, grpc.StatusCode.OK), (2100, grpc.StatusCode.RESOURCE_EXHAUSTED),
                       (1000, grpc.StatusCode.OK)):
        with connection_to(running) as channel:  # grpc++ may close it after a refusal
            future = stub_of(api, channel).ShouldRateLimit.future(
                ask, timeout=SECONDS, metadata=[("x", "y" * size)])
            assert future.code() == code, size
    await_metric(running, "weir_hits_total", 2)


def test_messages_beyond_four_times_the_bound_are_refused_by_grpc_uncounted(serve, api, ask):
    running = serve("--message-bytes-max=1024")
    call = stub_of(api, running.channels[0]).ShouldRateLimit
    counted = 'weir_input_rejected_total{reason="message"}'
    for size, count in ((2000, 1), (8000, 1), (2000, 2)):
        ask.descriptors[0].entries[0].value = "x" * size
        assert call.future(ask, timeout=SECONDS).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        await_metric(running, counted, count)


def test_an_old_connection_is_told_to_go_and_no_call_fails(serve, api, ask):
    running = serve("--grpc-max-connection-age=100ms", "--grpc-max-connection-age-grace=30s")
    ready = []
    with connection_to(running) as channel:
        channel.subscribe(
            lambda state: state == grpc.ChannelConnectivity.READY and ready.append(state),
            try_to_connect=True)
        call = stub_of(api, channel).ShouldRateLimit
        calls = 0
        deadline = time.monotonic() + SECONDS
        while len(ready) < 4 and time.monotonic() < deadline:
            call(ask, timeout=SECONDS)  # raises if it fails
            calls += 1
    assert len(ready) >= 4, "the client connected again after each age"
    await_metric(running, "weir_hits_total", calls)
    with raw_http2.connect(running.addresses["grpc"], SECONDS) as connection:
        kind, payload = None, b""
        while kind != raw_http2.GOAWAY:
            kind, _, _, payload = raw_http2.read_frame(connection)
        assert struct.unpack(">I", payload[4:8])[0] == 0, "NO_ERROR"


# ---- cancellation


def test_a_call_cancelled_before_it_is_read_is_not_charged(serve, ask):
    running = serve("--threads=2")
    address = running.addresses["grpc"]
    message = ask.SerializeToString()
    count = 200
    with raw_http2.connect(address, SECONDS) as connection:
        def settle():
            """Returns once the server has read all that was sent."""
            connection.sendall(raw_http2.frame(raw_http2.SETTINGS, 0, 0, b""))
            while raw_http2.read_frame(connection)[:2] != (raw_http2.SETTINGS, raw_http2.ACK):
                pass
        settle()
        for stream in range(1, 2 * count, 2):
            # In one piece: whoever reads the call reads its end too.
            connection.sendall(
                raw_http2.call_frames(address, stream, SHOULD_RATE_LIMIT, message) +
                raw_http2.reset_frame(stream))
            settle()
        # The same calls, not cancelled, are charged: nothing else and no more than they.
        for stream in range(2 * count + 1, 4 * count, 2):
            connection.sendall(
                raw_http2.call_frames(address, stream, SHOULD_RATE_LIMIT, message))
            settle()
        await_metric(running, "weir_hits_total", count)
    await_no_call(running)


def test_a_storm_of_cancellations_leaves_nothing_behind(serve, api, ask):
    running = serve("--threads=2")
    sent = answered = 0
    files = 0
    for turn in range(5):
        with connection_to(running) as channel:
            call = stub_of(api, channel).ShouldRateLimit
            call(ask, timeout=SECONDS)
            calls = []
            for _ in range(1000):  # more than the server waits for at once
                calls.append(call.future(ask, timeout=SECONDS))
                calls[-1].cancel()
            sent += len(calls) + 1
            answered += 1 + sum(not each.cancelled() for each in calls)
            assert {each.code() for each in calls} <= {grpc.StatusCode.OK,
                                                       grpc.StatusCode.CANCELLED}
        await_no_call(running)
        now = len(os.listdir(f"/proc/{running.pid}/fd"))
        files = files or now
        assert now <= files + 3, "descriptors stay open"
    assert answered < sent, "none was cancelled"
    assert answered <= metric(running, "weir_hits_total") <= sent
    # As many calls at once as ever are answered.
    calls = [stub_of(api, running.channels[0]).ShouldRateLimit.future(ask, timeout=SECONDS)
             for _ in range(500)]
    assert {each.code() for each in calls} == {grpc.StatusCode.OK}
    await_no_call(running)
