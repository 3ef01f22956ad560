"""Every block that is marked to run does what the page says (pages.py explains the marks)."""

import os
import re
import subprocess
import time

import pytest
import yaml

import pages
import program

SECONDS = 60
# Example limits count in windows of the clock's minutes: a block must not meet a window's end.
WINDOW_SECONDS, BLOCK_SECONDS = 60, 10
EXAMPLE = pages.REPOSITORY / "docs" / "example" / "envoy.yaml"
LANGUAGES = {"sh", "yaml", "python", "cpp", "go", "js"}  # test_clients.py runs the last four


def by_id(blocks):
    return pytest.mark.parametrize("block", blocks, ids=lambda block: block.id)


def run(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
                          **options)


# ---- shell


# What the block left running; `|| true`, because there may be nothing.
END = "kill $(jobs -p) 2>/dev/null || true; wait"


class Shell:
    """A folder that looks like the repository after a build, and the ports that blocks name."""

    def __init__(self, folder, binary, ports):
        self._folder = folder
        self._ports = ports
        (folder / "bin").mkdir(parents=True)
        (folder / "build" / "release").mkdir(parents=True)
        (folder / "bin" / "weir").symlink_to(binary)
        (folder / "build" / "release" / "weir").symlink_to(binary)
        (folder / "docs").symlink_to(pages.REPOSITORY / "docs")

    def run(self, text):
        """Ends with the block; what it started in the background ends with it. Its output names the
        ports as the page does."""
        for documented, port in self._ports.items():
            text = re.sub(rf"\b{documented}\b", str(port), text)
        path = f"{self._folder / 'bin'}:{os.environ['PATH']}"
        done = run(["bash", "-euo", "pipefail", "-c", f"trap '{END}' EXIT\n{text}"],
                   cwd=self._folder, env=program.environment({"PATH": path}))
        for documented, port in self._ports.items():
            done.stdout = re.sub(rf"\b{port}\b", str(documented), done.stdout)
        return done


def ports_of(weir):
    return {documented: weir.addresses[name].rsplit(":", 1)[1]
            for documented, name in ((8081, "grpc"), (8080, "http"), (6070, "admin"))}


@pytest.fixture
def shell(request, tmp_path, binary):
    def make(block):
        ports = {documented: program.free_port() for documented in (8081, 8080, 6070, 8181)}
        if "6379" in block.text:
            ports[6379] = request.getfixturevalue("redis")
        alone, _, _ = block.how
        if not alone:
            ports.update(ports_of(request.getfixturevalue("weir")))
        return Shell(tmp_path / "shell", binary, ports)
    return make


@by_id(pages.marked("sh"))
def test_shell_block(block, shell):
    _, code, prints = block.how
    here = shell(block)
    program.poll(lambda: WINDOW_SECONDS - time.time() % WINDOW_SECONDS > BLOCK_SECONDS,
                 2 * BLOCK_SECONDS, "the next minute")
    done = here.run(block.text)
    assert done.returncode == code, done.stdout
    if prints:
        assert re.search(prints, done.stdout, re.S), done.stdout


# ---- YAML


def check_rules(text, binary, folder):
    path = folder / "rules.yaml"
    path.write_text(text)
    return run([binary, "validate", "--strict", str(path)])


def check_server_file(text, binary, folder):
    path = folder / "weir.yaml"
    path.write_text(text)
    return run([binary, "serve", f"--config={path}", "--print-config"],
               env=program.environment({}))


def check_envoy(tree, request, folder):
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(tree))
    return run([request.getfixturevalue("envoy_binary"), "--mode", "validate", "-c", str(path)])


def with_filters(filters):
    """The example of docs/example/envoy.yaml with these filters in place of its own."""
    tree = yaml.safe_load(EXAMPLE.read_text())
    edge = tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    edge["typed_config"]["http_filters"][:-1] = filters
    return tree


def check_prometheus(text, folder):
    path = folder / "prometheus.yml"
    path.write_text(text)
    return run(["promtool", "check", "config", str(path)])


def check_yaml(text, request, binary, folder):
    """By what it is: the first key says it."""
    tree = yaml.safe_load(text)
    first = next(iter(tree))
    if first == "rate_limit":
        text = yaml.safe_dump({"domain": "page", "descriptors": [{"key": "key", **tree}]})
        return check_rules(text, binary, folder)
    if first == "domain":
        return check_rules(text, binary, folder)
    if first == "scrape_configs":
        return check_prometheus(text, folder)
    if first in ("admin", "static_resources"):
        return check_envoy(tree, request, folder)
    if isinstance(tree, list):
        return check_envoy(with_filters(tree), request, folder)
    return check_server_file(text, binary, folder)


@by_id(pages.marked("yaml"))
def test_yaml_block(block, request, binary, tmp_path):
    _, code, prints = block.how
    done = check_yaml(block.text, request, binary, tmp_path)
    assert done.returncode == code, done.stdout
    if prints:
        assert re.search(prints, done.stdout), done.stdout


# ---- the tests themselves


def test_each_mark_is_understood():
    for path in pages.paths():
        for block in pages.blocks(path):
            if block.runs:
                assert block.how and block.language in LANGUAGES, block.id


# Pages of which every block runs, or says why it does not.
WHOLE = ("CONTRIBUTING.md", "README.md", "docs/clients.md", "docs/migration.md", "docs/rules.md",
         "docs/threat-model.md", "docs/weir.v1.md")


@pytest.mark.parametrize("name", WHOLE)
def test_each_block_runs_or_says_why_not(name):
    left = [block.id for block in pages.blocks(pages.REPOSITORY / name)
            if block.language and not block.runs and not block.mark.startswith("not run: ")]
    assert not left


def test_a_broken_block_would_be_seen(binary, tmp_path, request):
    def broken(text):
        return check_yaml(text, request, binary, tmp_path).returncode
    assert broken("domain: shop\ndescriptors: [{key: user, rate_limit: {unit: eon}}]\n") == 1
    assert broken("rate_limit: {unit: minute, request_per_unit: 1}\n") == 1
    assert broken("grpc_listen: 127.0.0.1:0\n") == 2
    assert broken("scrape_configs: [{job: weir}]\n") == 1
    assert broken("- {name: envoy.filters.http.ratelimit, typed_config: {}}\n") == 1
    # A command that fails ends the block, also before the last line and inside a pipe.
    here = Shell(tmp_path / "broken", binary, {8081: program.free_port()})
    failing = "weir check --server 127.0.0.1:8081 -d shop user=ada | cat\ntrue\n"
    assert here.run(failing).returncode == 3


def test_what_a_block_starts_ends_with_it(binary, tmp_path):
    port = program.free_port()
    here = Shell(tmp_path / "own", binary, {8081: port, 8080: program.free_port(),
                                            6070: program.free_port()})
    done = here.run("weir serve --rules-dir docs/example/rules --drain-delay 0s --grpc-listen "
                    "127.0.0.1:8081 --http-listen 127.0.0.1:8080 --admin-listen 127.0.0.1:6070 &\n"
                    "curl -s --retry 100 --retry-delay 0 --retry-connrefused -o /dev/null "
                    "localhost:8080/livez\nweir check --server 127.0.0.1:8081 -d shop user=ada")
    assert done.returncode == 0, done.stdout
    assert run(["curl", "-s", f"127.0.0.1:{port}"]).returncode == 7  # nobody listens
