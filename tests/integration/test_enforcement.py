"""Enforcement switched off and on again under load, without a restart."""

import os
import threading
import time

import pytest

import exposition
import program

RULES = """
domain: {0}
descriptors:
  - key: user
    rate_limit: {{unit: hour, requests_per_unit: 1, name: {0}}}
"""
# What the documents promise, from the write to the effect.
FILE_SECONDS, CONFIG_MAP_SECONDS = 1, 2
DOMAINS = ("one", "two")


class Load:
    """Asks for each domain in turn without a pause; remembers when each answer came."""

    def __init__(self, api, node):
        self._api = api
        self._stub = api.limiter_grpc.LimiterStub(node.channels[0])
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers = {domain: [] for domain in DOMAINS}  # [(time, allowed, would_deny)]
        self.failed = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        while not self._end.is_set():
            for domain in DOMAINS:
                request = self._api.limiter.CheckRequest(
                    domain=domain, descriptors=[{"entries": [{"key": "user", "value": "ann"}]}])
                try:
                    answer = self._stub.Check(request, timeout=10)
                except Exception as error:  # counted, and the test fails on it
                    self.failed.append(repr(error))
                    continue
                self.answers[domain].append(
                    (time.monotonic(), answer.allowed, answer.items[0].would_deny))

    def last(self, domain):
        return self.answers[domain][-1][1:] if self.answers[domain] else None

    def effect(self, change, wanted, what):
        """Makes a change; the seconds until the first answer that is `wanted`, {domain: (allowed,
        would_deny)}, on all domains, after which a hundred more are."""
        began = time.monotonic()
        change()
        program.poll(lambda: all(self.last(d) == w for d, w in wanted.items()), 10, what)
        count = {d: len(self.answers[d]) + 100 for d in wanted}
        program.poll(lambda: all(len(self.answers[d]) >= n for d, n in count.items()), 30, "more")
        seconds = 0
        for domain, want in wanted.items():
            at, later = next((at, i) for i, (at, *got) in enumerate(self.answers[domain])
                             if at > began and tuple(got) == want)
            assert all(tuple(got) == want for _, *got in self.answers[domain][later:]), what
            seconds = max(seconds, at - began)
        return seconds


DENIED, ALLOWED, LET_PASS = (False, False), (True, False), (True, True)


@pytest.fixture
def node(start_fleet, start_redis, tmp_path):
    redis = start_redis()
    (tmp_path / "switch").mkdir()
    fleet = start_fleet(redis.address, f"--enforcement-file={tmp_path}/switch/enforcement.yaml",
                        nodes=1)
    fleet.wait_ready(knows_all=False)
    weir = fleet.programs[0]
    fleet.reload(RULES.format("one"))
    (weir.rules / "two.yaml").write_text(RULES.format("two"))
    program.poll(lambda: exposition.total(exposition.parse(weir.http("/metrics")[2]),
                                          "weir_rules") >= 3, 10, "both domains")
    return weir


def write(path, text):
    """As an editor does: all of it, at once."""
    new = path.with_name(".new")
    new.write_text(text)
    os.replace(new, path)


class ConfigMap:
    """A folder as the kubelet swaps it: the file is a link into ..data, a link itself."""

    def __init__(self, folder):
        self._folder = folder
        self._version = 0

    def swap(self, text):
        self._version += 1
        version = self._folder / f"..v{self._version}"
        version.mkdir()
        (version / "enforcement.yaml").write_text(text)
        (self._folder / "..tmp").symlink_to(version.name)
        os.replace(self._folder / "..tmp", self._folder / "..data")
        link = self._folder / "enforcement.yaml"
        if not link.is_symlink():
            link.symlink_to("..data/enforcement.yaml")


def series(node, name):
    return {labels.get("domain", labels.get("result")): value
            for found, labels, value in exposition.parse(node.http("/metrics")[2])
            if found == name}


@pytest.mark.parametrize("how", ["file", "configmap"])
def test_off_and_on_under_load(how, node, api, tmp_path, report):
    folder = tmp_path / "switch"
    config_map = ConfigMap(folder)

    def change(text):
        if how == "configmap":
            config_map.swap(text)
        else:
            write(folder / "enforcement.yaml", text)

    bound = CONFIG_MAP_SECONDS if how == "configmap" else FILE_SECONDS
    took = []
    with Load(api, node) as load:
        program.poll(lambda: all(load.last(d) == DENIED for d in DOMAINS), 10, "denials")
        for _ in range(3):
            took.append(load.effect(lambda: change("shadow_domains: [one]"),
                                    {"one": LET_PASS, "two": DENIED}, "one domain off"))
            assert series(node, "weir_enforcement_off") == {"*": 0, "one": 1}
            took.append(load.effect(lambda: change("shadow: true"),
                                    {"one": LET_PASS, "two": LET_PASS}, "all off"))
            took.append(load.effect(lambda: change("shadow: false"),
                                    {"one": DENIED, "two": DENIED}, "all on"))
    assert not load.failed
    answers = sum(len(found) for found in load.answers.values())
    report(f"enforcement switch by {how}",
           f"{len(took)} changes, effect after {min(took):.2f} to {max(took):.2f} s, "
           f"{answers} answers meanwhile")
    assert max(took) < bound
    assert series(node, "weir_enforcement_off") == {"*": 0}


def test_what_happens_to_the_file(node, api, tmp_path):
    """A bad one changes nothing, one that is gone switches on again, one that is back counts."""
    file = tmp_path / "switch" / "enforcement.yaml"
    log = lambda: node.output("stderr")
    with Load(api, node) as load:
        load.effect(lambda: write(file, "shadow_domains: [one, nobody]"),
                    {"one": LET_PASS, "two": DENIED}, "one domain off")
        program.poll(lambda: "what has no rules, which changes nothing: nobody" in log(), 10,
                     "the warning")
        assert series(node, "weir_enforcement_off") == {"*": 0, "one": 1}
        write(file, "shadow: true\nshadows: x\n")
        program.poll(lambda: series(node, "weir_enforcement_reloads_total")["error"] == 1, 10,
                     "the error to be counted")
        assert ("enforcement: enforcement.yaml: unknown key 'shadows' (2:1): did you mean "
                "'shadow'?") in log()
        assert load.last("one") == LET_PASS and load.last("two") == DENIED
        rules = node.http("/rules", listener="admin")
        assert '"enforcement_off": true' in rules[2]
        load.effect(lambda: write(file, "shadow_domains: [one, nobody]"),
                    {"one": LET_PASS, "two": DENIED}, "the same again")
        load.effect(file.unlink, {"one": DENIED, "two": DENIED}, "a file that is gone")
        load.effect(lambda: write(file, "shadow_domains: [one, nobody]"),
                    {"one": LET_PASS, "two": DENIED}, "a file that is back as it was")
    assert not load.failed
    assert log().count("enforcement: switched off for domains nobody, one") == 2
    assert log().count("enforcement: switched on again for every domain") == 1
