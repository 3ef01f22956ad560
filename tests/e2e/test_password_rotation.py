"""The password of Redis changes under load, and Weir connects anew with each: no request fails."""

import shutil
import sys

import pytest

from conftest import FOLDER
from load import CHANGES, Load

sys.path.append(str(FOLDER.parent / "integration"))

import exposition  # noqa: E402
import redis_server  # noqa: E402


@pytest.fixture
def redis(redis_program):
    server = redis_server.Redis(redis_program)
    yield server
    server.close()


def test_rotation_fails_no_request(redis, start_weir, config_for, start_envoy, tmp_path, report):
    redis.call("ACL", "SETUSER", "weir", "on", ">p0", "~*", "&*", "+@all")
    file = tmp_path / "password"

    def write(password):
        new = file.with_suffix(".new")
        new.write_text(password + "\n")
        shutil.move(new, file)
    write("p0")
    weir = start_weir("--store=redis", f"--redis-url={redis.address}", "--redis-user=weir",
                      f"--redis-password-file={file}")

    def value(name):
        return exposition.total(exposition.parse(weir.http("/metrics")[2]), name)
    config = config_for(weir)
    config.rate_limit_filter["domain"] = "load"
    config.rate_limit_filter["timeout"] = "10s"  # about passwords, not about a busy machine
    assert config.rate_limit_filter["failure_mode_deny"] is True
    envoy = start_envoy(config)
    with Load(envoy) as load:
        load.poll(lambda: value("weir_redis_connected"), "Redis to be reached")
        for turn in range(1, CHANGES + 1):
            redis.call("ACL", "SETUSER", "weir", f">p{turn}")
            write(f"p{turn}")
            redis.call("ACL", "SETUSER", "weir", f"<p{turn - 1}")
            # Connections outlive passwords: only a new one proves that the file is read again.
            before = value("weir_redis_reconnects_total")
            redis.call("CLIENT", "KILL", "USER", "weir")
            load.poll(lambda: value("weir_redis_reconnects_total") > before and
                      value("weir_redis_connected"), "a connection with the new password")
    report("password rotation behind Envoy", f"{CHANGES} rotations, {load.text()}")
    load.judge()
