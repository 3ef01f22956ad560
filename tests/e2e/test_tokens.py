"""Descriptors from the claims of a verified token, as docs/envoy.md sets them up."""

import base64
import hashlib
import hmac
import json

import pytest
import yaml

import bootstrap

SECRET = b"a key that only this test knows."


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=SECRET, **claims):
    claims["iss"] = "https://accounts.example.org"
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def bearer(text):
    return {"authorization": f"Bearer {text}"}


@pytest.fixture
def envoy(start_weir, config_for, start_envoy, tmp_path):
    """The documented filter, route and rules."""
    rules = tmp_path / "plans"
    rules.mkdir()
    (rules / "shop.yaml").write_text(yaml.safe_dump(bootstrap.snippet("plans")))
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": encoded(SECRET)}]}))
    config = config_for(start_weir(rules=rules))
    for http_filter in bootstrap.snippet("token", **{"/etc/envoy/jwks.json": keys}):
        config.before_rate_limit(http_filter)
    config.route["route"].update(bootstrap.snippet("claims"))
    return start_envoy(config)


def test_the_plan_of_the_token_decides(envoy):
    ann = bearer(token(sub="ann", plan="gold"))
    assert [envoy.get(headers=ann).status for _ in range(5)] == [200] * 4 + [429]
    ben = bearer(token(sub="ben", plan="silver"))
    assert [envoy.get(headers=ben).status for _ in range(3)] == [200] * 2 + [429]


def test_a_token_without_a_plan_has_the_default(envoy):
    eve = bearer(token(sub="eve"))
    assert [envoy.get(headers=eve).status for _ in range(3)] == [200] * 2 + [429]
    # Another subject of the same plan has a counter of its own.
    assert envoy.get(headers=bearer(token(sub="joe"))).status == 200


def test_without_a_valid_token_weir_is_not_asked(envoy):
    assert envoy.get().status == 401
    forged = token(secret=b"a key that somebody else made up", sub="ann", plan="gold")
    assert envoy.get(headers=bearer(forged)).status == 401
    assert envoy.rate_limit_stats() == {}
