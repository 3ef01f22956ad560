"""A gRPC service behind Envoy: what its client gets when it is over the limit."""

import copy
from concurrent import futures

import grpc
import pytest

import bootstrap


class Echo(grpc.GenericRpcHandler):
    """Answers every unary call with its request."""

    def service(self, handler_call_details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


@pytest.fixture
def service_port():
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.mark.parametrize("as_resource_exhausted, code", [
    (True, grpc.StatusCode.RESOURCE_EXHAUSTED), (False, grpc.StatusCode.UNAVAILABLE)])
def test_grpc_request(as_resource_exhausted, code, service_port, config, start_envoy):
    config.rate_limit_filter["rate_limited_as_resource_exhausted"] = as_resource_exhausted
    service = config.cluster("service")
    service["typed_extension_protocol_options"] = copy.deepcopy(
        config.cluster("weir")["typed_extension_protocol_options"])
    endpoint = service["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"]["port_value"] = service_port
    config.limit(bootstrap.by_header("user"))
    envoy = start_envoy(config)
    with grpc.insecure_channel(f"127.0.0.1:{envoy.port}") as channel:
        ask = channel.unary_unary("/shop.v1.Cart/Add")
        for _ in range(5):
            assert ask(b"book", metadata=[("x-user", "ann")], timeout=10) == b"book"
        with pytest.raises(grpc.RpcError) as error:
            ask(b"book", metadata=[("x-user", "ann")], timeout=10)
    assert error.value.code() == code
    sent = {key: value for key, value in error.value.initial_metadata()}
    sent.update(error.value.trailing_metadata())
    assert sent["x-ratelimit-remaining"] == "0"
    assert 0 < int(sent["retry-after"]) <= 3600
