"""Two Envoys, each with a Weir of its own, and one Redis: one limit."""

import concurrent.futures

import pytest

import proxy
import redis_option


@pytest.fixture
def redis_url():
    end, url = redis_option.start()
    yield url
    end()


def test_two_envoys_share_one_limit(redis_url, start_weir, start_envoy, config_for, tmp_path):
    rules = tmp_path / "shared"
    rules.mkdir()
    (rules / "edge.yaml").write_text(
        "domain: shop\ndescriptors:\n"
        "  - {key: user, rate_limit: {unit: hour, requests_per_unit: 40}}\n")
    envoys = [
        start_envoy(config_for(start_weir(
            f"--redis-url={redis_url}", "--store-wait=5s", "--store-failure-default=deny",
            "--charge-denied=never", name=f"weir{i}", rules=rules)))
        for i in range(2)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda i: proxy.get(envoys[i % 2].port, headers={"x-user": "ada"}).status, range(200)))
    assert answers.count(200) == 40
    assert answers.count(429) == 160
    # Both took part.
    assert 0 < answers[0::2].count(200) < 40
