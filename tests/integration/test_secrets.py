"""Secrets are planted everywhere, and nothing that Weir prints or serves has one."""

import itertools
import json
import subprocess
import urllib.parse

import pytest

import program
from conftest import REPOSITORY

# In every secret, and in nothing else; the rest of a secret has what URLs and JSON encode.
MARK = "zq7planted"
_NUMBERS = itertools.count()


def secret():
    return f"{MARK}{next(_NUMBERS)}@:%\"/x"


def encoded(text):
    return urllib.parse.quote(text, safe="")


def assert_clean(text, what):
    at = text.lower().find(MARK)
    assert at < 0, f"{what} shows a secret: …{text[max(0, at - 100):at + 60]}…"


def planted_settings(folder):
    """Each place a secret can be written: {name of the setting: its value}."""
    settings = {}
    for prefix in ("redis", "redis-per-second"):
        host = "127.0.0.1:1"
        settings[f"{prefix}-url"] = f"redis://weir:{encoded(secret())}@{host}/0"
        for kind in ("", "sentinel-"):
            settings[f"{prefix}-{kind}password"] = secret()
    return settings


def run(binary, *arguments, env=None, cwd=None):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60,
                          check=False, env=program.environment(env or {}), cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def variable(name):
    return "WEIR_" + name.upper().replace("-", "_")


COMMANDS = (["--print-config"], ["serve", "--print-config"], ["serve", "--help"], ["version"],
            ["version", "--json"], ["settings"], ["help"], ["help", "serve"],
            ["validate", "docs/example/rules"], ["validate", "/nowhere"],
            ["explain", "--rules", "docs/example/rules", "-d", "shop", "api_key=k"],
            ["check", "--server=127.0.0.1:1", "-d", "shop", "a=b"], ["no-such-command"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_show_no_secret_of_the_environment(command, binary, tmp_path):
    planted = planted_settings(tmp_path)
    env = {variable(name): value for name, value in planted.items()}
    # Of the reference's variables the ones with secrets.
    env |= {"REDIS_AUTH": secret(), "REDIS_SENTINEL_AUTH": secret(),
            "REDIS_PERSECOND_AUTH": secret(), "REDIS_PERSECOND_SENTINEL_AUTH": secret()}
    _, output = run(binary, *command, env=env, cwd=REPOSITORY)
    assert output
    assert_clean(output, command)


def test_print_config_masks_what_was_given(binary, tmp_path):
    planted = planted_settings(tmp_path)
    flags = [f"--{name}={value}" for name, value in planted.items() if "-url" in name]
    for given in (flags, [f"--{name}={value}" for name, value in planted.items()]):
        _, output = run(binary, "--print-config", *given)
        assert_clean(output, given)
    file = tmp_path / "weir.yaml"
    file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in planted.items()))
    _, output = run(binary, f"--config={file}", "--print-config")
    assert_clean(output, "the server file's settings")
    code, output = run(binary, "--redis-password=" + secret(), "--print-config")
    assert code == 0 and "(masked)" in output
    assert_clean(output, "a password")


BAD_URLS = ("redis://weir:{0}@127.0.0.1:99999999", "redis://weir:{0}@", "redis://weir:{0}@[::1",
            "redis://{0}@h:1/notanumber", "rediss:/weir:{0}@h:1", "http://weir:{0}@h:1",
            "redis://weir:{0}%zz@h:1", "redis://weir:{0}@h:1?db=x", "weir:{0}@h:1:2:3",
            "redis://weir:{0}@h:1,redis://weir:{0}@:,x", "redis://we ir:{0}@h:1",
            "{0}@h:1\n", "redis://:{0}", "redis://weir:{0}@h:6379/1/2#f")


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("name", ["redis-url", "redis-per-second-url"])
def test_errors_about_urls_show_no_password(url, name, binary, tmp_path):
    url = url.format(encoded(secret()))
    file = tmp_path / "weir.yaml"
    file.write_text(f"{name}: {json.dumps(url)}\n")
    extra = ["--redis-per-second=true", "--store=redis"]
    flag = f"--{name}={url}"
    for given, env in (([flag], {}), ([], {variable(name): url}), ([f"--config={file}"], {}),
                       (["--redis-type=cluster", flag], {}),
                       (["--redis-type=sentinel", flag], {})):
        _, output = run(binary, "--print-config", *extra, *given, env=env)
        assert output
        assert_clean(output, given or env)


@pytest.mark.parametrize("value", ["[{0}]", "{{a: {0}}}", "!x {0}", "{0}\n  b: c", "*{0}"])
def test_errors_about_the_server_file_show_no_password(value, binary, tmp_path):
    file = tmp_path / "weir.yaml"
    file.write_text("redis-password: " + value.format(MARK) + "\n")
    code, output = run(binary, f"--config={file}", "--print-config")
    assert code == 2
    assert_clean(output, value)


PATHS = ("/", "/metrics", "/rules", "/config", "/rlconfig", "/stats", "/healthcheck", "/livez",
         "/readyz", "/json", "/top", "/keys", "/debug/redis", "/version", "/nowhere")


@pytest.mark.parametrize("right", [True, False], ids=["accepted", "refused"])
def test_a_running_weir_shows_no_secret(right, start_redis, start_fleet, api, tmp_path):
    """Everything it serves, and its log at the most detailed level, with a Redis that takes the
    password and with one that does not."""
    password, file_password = secret(), secret()
    redis = start_redis("--user", "weir", "on", "~*", "&*", "+@all",
                        f">{password if right else 'other'}")
    url = redis.address
    host = url.rpartition("@")[2].removeprefix("redis://")
    unused = tmp_path / "unused-password"
    unused.write_text(file_password + "\n")
    fleet = start_fleet(f"redis://weir:{encoded(password)}@{host}", "--log-level=trace",
                        f"--redis-sentinel-password={secret()}",
                        f"--redis-per-second-sentinel-password-file={unused}", nodes=1)
    node = fleet.programs[0]
    if right:
        fleet.wait_ready(knows_all=False)
    else:
        program.poll(lambda: "password" in node.output("stderr").lower(), 20, "a refusal")
    pages = []
    for listener in ("http", "admin"):
        for path in PATHS:
            for method, body in (("GET", None), ("POST", '{"domain": "x"}')):
                status, headers, text = node.http(path, method, body, listener=listener)
                assert_clean(f"{status} {headers} {text}", f"{method} {path} of {listener}")
                pages.append(status)
    assert pages.count(200) > 8
    assert "(masked)" in node.http("/config", listener="admin")[2]
    node.signal("HUP")
    fleet.stop()
    assert_clean(node.output("stdout") + node.output("stderr"), "the log")
    assert "serving" in node.output("stdout")


def test_a_password_file_is_not_shown(start_redis, start_fleet, tmp_path):
    """Nor is what is wrong with one."""
    redis = start_redis()
    for text in (secret() + "\n", secret() * 2000, "\0" + secret(), secret() + "\n" + secret()):
        file = tmp_path / "password"
        file.write_text(text)
        fleet = start_fleet(redis.address, f"--redis-password-file={file}", "--log-level=trace",
                            nodes=1)
        node = fleet.programs[0]
        program.poll(lambda: "redis" in node.output("stderr").lower(), 20, "an attempt")
        fleet.stop()
        assert_clean(node.output("stdout") + node.output("stderr"), repr(text[:20]))


def test_the_search_finds_what_is_planted(binary, tmp_path):
    """Of a file that the program refuses by name: the name is shown."""
    _, output = run(binary, f"--config={tmp_path}/{MARK}", "--print-config")
    with pytest.raises(AssertionError):
        assert_clean(output, "a name")
