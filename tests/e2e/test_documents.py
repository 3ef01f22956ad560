"""The documented configuration is the one that runs."""

import pathlib
import re

import pytest
import yaml

import bootstrap
import proxy

FOLDER = pathlib.Path(__file__).resolve().parent


def test_envoy_accepts_the_example_as_it_is(envoy_binary):
    code, output = proxy.validate(envoy_binary, bootstrap.FILE)
    assert code == 0, output
    assert f"configuration '{bootstrap.FILE}' OK" in output


def test_the_page_shows_the_filter_of_the_example():
    example = yaml.safe_load(bootstrap.FILE.read_text())
    config = bootstrap.Bootstrap.__new__(bootstrap.Bootstrap)
    config.tree = example
    assert bootstrap.snippet("filter") == [
        f for f in config.edge["http_filters"] if f["name"] == bootstrap.RATE_LIMIT]


def test_every_block_of_the_page_is_tested():
    names = [name for name, _ in bootstrap.snippets()]
    assert "" not in names, "a YAML block has no <!-- tested: NAME --> before it"
    tests = "".join(path.read_text() for path in sorted(FOLDER.glob("test_*.py")))
    used = re.findall(r'\bsnippet\(\s*"([a-z-]+)"', tests)
    assert sorted(names) == sorted(used)


def test_the_example_rules_limit_the_sixth_request(start_weir, start_envoy, config_for):
    envoy = start_envoy(config_for(start_weir(rules=bootstrap.REPOSITORY / "docs/example/rules")))
    # Five per minute: should a minute end meanwhile, the twelve requests fall into two windows.
    answers = []
    for _ in range(12):
        answers.append(envoy.get(user="ann"))
        if answers[-1].status != 200:
            break
    assert [a.status for a in answers[:5]] == [200] * 5
    assert answers[-1].status == 429
    assert answers[-1].headers["x-ratelimit-limit"] == "5, 5;w=60, 100;w=60"
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert 0 < answers[-1].number("retry-after") <= 60


@pytest.mark.parametrize("key", ["domain: shop", "cluster_name: weir"])
def test_envoy_refuses_the_example_without(key, envoy_binary, tmp_path):
    """So that the first test above means something."""
    broken = tmp_path / "envoy.yaml"
    broken.write_text(bootstrap.FILE.read_text().replace(key, ""))
    code, _ = proxy.validate(envoy_binary, broken)
    assert code != 0
