"""Requests that cost other than one hit, and limits that requests bring along."""

import copy

import pytest

import bootstrap
import program

USER = [bootstrap.action("user")]


@pytest.fixture
def remaining(api, weir, channel_to):
    """What Weir itself says is left for a user, without charging."""
    stub = api.limiter_grpc.LimiterStub(channel_to(weir))

    def peek(user):
        descriptor = api.limiter.Descriptor(entries=[api.limiter.Entry(key="user", value=user)])
        request = api.limiter.CheckRequest(domain="shop", descriptors=[descriptor])
        return stub.Peek(request, timeout=10).items[0].remaining
    return peek


def costing(**addend):
    return [{"actions": copy.deepcopy(USER), "hits_addend": addend}]


def test_cost_of_three(config, start_envoy):
    config.limit_per_route(costing(number=3))
    envoy = start_envoy(config)
    first, second = envoy.get(user="ann"), envoy.get(user="ann")
    assert (first.status, first.number("x-ratelimit-remaining")) == (200, 2)
    assert (second.status, second.number("x-ratelimit-remaining")) == (429, 0)


def test_cost_in_the_route_itself_is_ignored(config, start_envoy):
    config.limit(costing(number=3))
    answer = start_envoy(config).get(user="ann")
    assert (answer.status, answer.number("x-ratelimit-remaining")) == (200, 4)


def test_cost_of_zero_asks_without_charging(remaining, config, start_envoy):
    config.limit_per_route(costing(number=0))
    envoy = start_envoy(config)
    for _ in range(10):
        answer = envoy.get(user="ann")
        assert (answer.status, answer.number("x-ratelimit-remaining")) == (200, 5)
    assert remaining("ann") == 5


def test_refund_gives_back_up_to_the_limit(config, start_envoy):
    config.limit_per_route(costing(number=3), "/order")
    config.limit_per_route(costing(number=2, is_negative_hits=True), "/cancel")
    envoy = start_envoy(config)

    def ask(path):
        answer = envoy.get(path, user="ann")
        return answer.status, answer.number("x-ratelimit-remaining")
    assert ask("/order") == (200, 2)
    assert ask("/cancel") == (200, 4)
    assert ask("/order") == (200, 1)
    assert [ask("/cancel") for _ in range(3)] == [(200, 3), (200, 5), (200, 5)]
    assert ask("/order") == (200, 2)


def test_cost_is_charged_when_the_stream_is_done(remaining, config, start_envoy):
    config.route["route"].pop("rate_limits")
    config.route.update(bootstrap.snippet("cost-afterwards"))
    envoy = start_envoy(config)

    def left(expected):
        program.poll(lambda: remaining("ann") == expected, 10,
                     f"the debit that leaves {expected}")
    # Each answer has the two bytes of "ok".
    for after in (3, 1, 0):
        assert envoy.get(user="ann").status == 200
        left(after)
    # The last debit went over the limit.
    answer = envoy.get(user="ann")
    assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (429, "0")


def test_limit_of_the_request_wins(config, start_envoy):
    config.route["route"].update(bootstrap.snippet("override"))
    config.before_rate_limit({"name": "limits", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
        "metadata": [{"metadata_namespace": "shop.limits",
                      "value": {"user": {"requests_per_unit": 2, "unit": "DAY"}}}]}})
    envoy = start_envoy(config)
    answers = [envoy.get(user="ann") for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 429]
    assert [a.number("x-ratelimit-remaining") for a in answers] == [1, 0, 0]
    assert {a.headers["x-ratelimit-limit"] for a in answers} == {"2, 2;w=86400"}
