"""What Weir's answers become in Envoy: status, headers, metadata, statistics."""

import json
import time

import pytest

import bootstrap
import exposition


def counted(weir, selector):
    status, _, text = weir.http("/metrics")
    assert status == 200
    return exposition.total(exposition.parse(text), selector)


def test_five_pass_then_429(config, start_envoy):
    envoy = start_envoy(config)
    for left in (4, 3, 2, 1, 0):
        answer = envoy.get(user="ann")
        assert (answer.status, answer.body) == (200, "ok")
        assert answer.headers["x-ratelimit-limit"] == "5, 5;w=3600, 1000;w=3600"
        assert answer.number("x-ratelimit-remaining") == left
        assert 0 < answer.number("x-ratelimit-reset") <= 3600
        assert "retry-after" not in answer.headers
    answer = envoy.get(user="ann")
    assert (answer.status, answer.body) == (429, "")
    assert answer.headers["x-ratelimit-limit"] == "5, 5;w=3600, 1000;w=3600"
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert answer.headers["x-envoy-ratelimited"] == "true"
    assert answer.headers["retry-after"] == answer.headers["x-ratelimit-reset"]
    assert envoy.rate_limit_stats() == {"ok": 5, "over_limit": 1}


def test_reset_is_the_end_of_the_window(config, start_envoy):
    envoy = start_envoy(config)
    before = time.time()
    reset = envoy.get(user="ann").number("x-ratelimit-reset")
    after = time.time()
    assert 3600 - after % 3600 <= reset < 3600 - before % 3600 + 1


def test_users_have_counters_of_their_own(config, start_envoy):
    envoy = start_envoy(config)
    assert [envoy.get(user="ann").status for _ in range(6)] == [200] * 5 + [429]
    answer = envoy.get(user="ben")
    assert (answer.status, answer.number("x-ratelimit-remaining")) == (200, 4)


def test_request_without_the_header_has_only_the_other_limit(config, start_envoy):
    envoy = start_envoy(config)
    for left in (999, 998):
        answer = envoy.get()
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit"] == "1000, 1000;w=3600"
        assert answer.number("x-ratelimit-remaining") == left


@pytest.mark.parametrize("headers", [{"partner": "acme"}, {"nothing": "known"}])
def test_unlimited_and_unmatched_pass_without_headers(headers, config, start_envoy):
    config.limit(bootstrap.by_header(*headers))
    envoy = start_envoy(config)
    for _ in range(10):
        answer = envoy.get(**headers)
        assert answer.status == 200
        assert not [name for name in answer.headers if "ratelimit" in name]
    assert envoy.rate_limit_stats() == {"ok": 10}


def test_shadow_rule_never_limits_but_counts(weir, config, start_envoy):
    config.limit(bootstrap.by_header("trial"))
    envoy = start_envoy(config)
    answers = [envoy.get(trial="new") for _ in range(5)]
    assert [a.status for a in answers] == [200] * 5
    assert [a.number("x-ratelimit-remaining") for a in answers] == [1, 0, 0, 0, 0]
    assert envoy.rate_limit_stats() == {"ok": 5}
    rule = 'weir_decisions_total{domain="shop",rule="trial",'
    assert counted(weir, rule + 'code="over_limit",mode="shadow"}') == 3
    assert counted(weir, rule + 'code="over_limit",mode="enforce"}') == 0
    assert counted(weir, rule + 'code="ok"}') == 2


def test_global_shadow_mode_never_limits_but_counts(start_weir, config_for, start_envoy):
    weir = start_weir(env={"SHADOW_MODE": "true"})
    envoy = start_envoy(config_for(weir))
    answers = [envoy.get(user="ann") for _ in range(7)]
    assert [a.status for a in answers] == [200] * 7
    assert [a.number("x-ratelimit-remaining") for a in answers] == [4, 3, 2, 1, 0, 0, 0]
    assert counted(weir, "weir_global_shadow_total") == 2


def test_one_descriptor_of_two_is_over(config, start_envoy):
    config.limit(bootstrap.by_header("user", "plan"))
    envoy = start_envoy(config)
    limits = '3, 5;w=3600, 3;w=86400;name="daily-plan"'
    for left in (2, 1, 0):
        answer = envoy.get(user="ann", plan="basic")
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit"] == limits
        assert answer.number("x-ratelimit-remaining") == left
    answer = envoy.get(user="ann", plan="basic")
    assert answer.status == 429
    assert answer.headers["x-ratelimit-limit"] == limits
    # The reset of the one that is over: the day's, not the hour's.
    until_tomorrow = 86400 - time.time() % 86400
    assert until_tomorrow <= answer.number("retry-after") < until_tomorrow + 5
    assert answer.headers["x-ratelimit-reset"] == answer.headers["retry-after"]


def test_the_other_descriptor_is_over(config, start_envoy):
    config.limit(bootstrap.by_header("user", "plan"))
    envoy = start_envoy(config)
    for plan in ("a", "b", "c", "d", "e"):
        assert envoy.get(user="ann", plan=plan).status == 200
    answer = envoy.get(user="ann", plan="f")
    assert answer.status == 429
    assert answer.headers["x-ratelimit-limit"].startswith("5, 5;w=3600, 3;w=86400")
    until_next_hour = 3600 - time.time() % 3600
    assert until_next_hour <= answer.number("retry-after") < until_next_hour + 5


def test_token_bucket_says_when_the_next_request_passes(config, start_envoy):
    config.limit(bootstrap.by_header("bucket"))
    envoy = start_envoy(config)
    answers = [envoy.get(bucket="a") for _ in range(5)]
    assert [a.status for a in answers] == [200] * 4 + [429]
    assert [a.number("x-ratelimit-remaining") for a in answers] == [3, 2, 1, 0, 0]
    # Until full while it passes, until the next hit when it does not.
    assert 885 < answers[0].number("x-ratelimit-reset") <= 900
    assert 3585 < answers[3].number("x-ratelimit-reset") <= 3600
    assert 885 < answers[4].number("x-ratelimit-reset") <= 900
    assert answers[4].headers["retry-after"] == answers[4].headers["x-ratelimit-reset"]


def test_window_without_a_unit_is_not_misreported(config, start_envoy):
    config.limit(bootstrap.by_header("shift", "user"))
    answer = start_envoy(config).get(shift="late", user="ann")
    assert answer.status == 200
    assert answer.headers["x-ratelimit-limit"] == "5, 5;w=3600"
    assert answer.headers["x-ratelimit-remaining"] == "4"


def test_route_without_a_cluster_is_not_limited(config, start_envoy):
    config.route.pop("route")
    config.route["direct_response"] = {"status": 204}
    envoy = start_envoy(config)
    answers = [envoy.get(user="ann") for _ in range(10)]
    assert [a.status for a in answers] == [204] * 10
    assert not [name for a in answers for name in a.headers if "ratelimit" in name]


def test_sliding_window_is_not_over_at_the_hour(config, start_envoy):
    config.limit(bootstrap.by_header("window"))
    envoy = start_envoy(config)
    answers = [envoy.get(window="a") for _ in range(4)]
    assert [a.status for a in answers] == [200] * 3 + [429]
    # A window from now on, and at most one of its ten parts more.
    assert 3585 < answers[3].number("retry-after") <= 3600 + 360


def test_weirs_own_headers(start_weir, config_for, start_envoy):
    config = config_for(start_weir(env={"LIMIT_RESPONSE_HEADERS_ENABLED": "true"}))
    config.rate_limit_filter["enable_x_ratelimit_headers"] = "OFF"
    config.rate_limit_filter["enable_retry_after_header"] = False
    envoy = start_envoy(config)
    answers = [envoy.get(user="ann") for _ in range(6)]
    assert [a.status for a in answers] == [200] * 5 + [429]
    for answer, left in zip(answers, (4, 3, 2, 1, 0, 0), strict=True):
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
        assert answer.headers["ratelimit-limit"] == "5"
        assert answer.headers["ratelimit-remaining"] == str(left)
        assert 0 < answer.number("ratelimit-reset") <= 3600


def test_metadata_reaches_the_access_log(start_weir, config_for, start_envoy):
    config = config_for(start_weir(env={"RESPONSE_DYNAMIC_METADATA": "true"}))
    config.limit(bootstrap.by_header("tagged", "user"))
    config.edge["access_log"][0]["typed_config"].update(bootstrap.snippet("access-log"))
    envoy = start_envoy(config)
    assert [envoy.get(tagged="a", user="ann").status for _ in range(6)] == [200] * 5 + [429]
    envoy.stop()
    lines = [json.loads(line) for line in envoy.access_log()]
    assert [(line["code"], line["flags"]) for line in lines] == [(200, "-")] * 5 + [(429, "RL")]
    for line in lines:
        assert line["limits"]["domain"] == "shop"
        assert [d["entries"] for d in line["limits"]["descriptors"]] == [
            ["tagged=a"], ["user=ann"]]
    assert lines[0]["limits"]["metadata"] == {"tier": "gold", "contact": {"team": "payments"}}
    assert "metadata" not in lines[5]["limits"]  # both are over


def test_without_the_setting_there_is_no_metadata(config, start_envoy):
    config.edge["access_log"][0]["typed_config"]["log_format"] = {
        "json_format": {"limits": "%DYNAMIC_METADATA(envoy.filters.http.ratelimit)%"}}
    envoy = start_envoy(config)
    assert envoy.get(user="ann").status == 200
    envoy.stop()
    assert [json.loads(line) for line in envoy.access_log()] == [{"limits": None}]
