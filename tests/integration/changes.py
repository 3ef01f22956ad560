"""Changes of files while requests run, and how long they take to have an effect."""

import os
import threading
import time

import program

# What the documents promise, from the change to the effect.
FILE_SECONDS, CONFIG_MAP_SECONDS = 1, 2


def write(path, text):
    """As an editor does: all of it, at once."""
    new = path.with_name(".new")
    new.write_text(text)
    os.replace(new, path)


class ConfigMap:
    """A folder with one file as the kubelet swaps it: the file is a link into ..data, which is a
    link itself."""

    def __init__(self, folder, name):
        self._folder = folder
        self._name = name
        self._version = 0

    def swap(self, text):
        self._version += 1
        version = self._folder / f"..v{self._version}"
        version.mkdir()
        (version / self._name).write_text(text)
        (self._folder / "..tmp").symlink_to(version.name)
        os.replace(self._folder / "..tmp", self._folder / "..data")
        link = self._folder / self._name
        if not link.is_symlink():
            link.symlink_to(f"..data/{self._name}")


def writer(how, folder, name):
    """A function that changes the file `name` of the folder: as a file or as a ConfigMap."""
    if how == "configmap":
        return ConfigMap(folder, name).swap
    return lambda text: write(folder / name, text)


def bound(how):
    return CONFIG_MAP_SECONDS if how == "configmap" else FILE_SECONDS


class Load:
    """Asks for each domain in turn without a pause; remembers when each answer came."""

    def __init__(self, api, node, domains):
        self._api = api
        self._stub = api.limiter_grpc.LimiterStub(node.channels[0])
        self._domains = domains
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers = {domain: [] for domain in domains}  # [(time, allowed, would_deny)]
        self.failed = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        while not self._end.is_set():
            for domain in self._domains:
                request = self._api.limiter.CheckRequest(
                    domain=domain, descriptors=[{"entries": [{"key": "user", "value": "ann"}]}])
                try:
                    answer = self._stub.Check(request, timeout=10)
                except Exception as error:  # counted, and the test fails on it
                    self.failed.append(repr(error))
                    continue
                self.answers[domain].append(
                    (time.monotonic(), answer.allowed, answer.items[0].would_deny))

    @property
    def total(self):
        return sum(len(found) for found in self.answers.values())

    def last(self, domain):
        return self.answers[domain][-1][1:] if self.answers[domain] else None

    def effect(self, change, wanted, what):
        """Makes a change; the seconds until the first answer that is `wanted`, {domain: (allowed,
        would_deny)}, on all domains, after which all are, a hundred at least."""
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
