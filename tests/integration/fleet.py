"""Several Weirs that share one Redis."""

import collections
import os
import shutil

import cases
import exposition
import program
import rules

READY_SECONDS = 30

_LEASED, _TOTAL = "weir_lease_hits_", "_total"

# A test's own limit on how long a wait for a store may take is the default of the program.
STORE_WAIT_MS = 10


class Fleet:
    """`nodes` programs on one store. Each node keeps its folder; what runs at the end must end
    well."""

    def __init__(self, binary, folder, urls, flags=(), prefix=(), unix_sockets=False, inside=None,
                 environments=None):
        """`urls`: where each node finds Redis, one per node; `prefix`: a command that runs them;
        `inside`: calls a function from where their HTTP listeners can be reached; `environments`:
        what is set, {node: {name: value}}."""
        self._binary = binary
        self._inside = inside or (lambda function: function())
        self.programs = []
        self._setups = []
        self._killed = set()
        if prefix:
            self._binary = _wrapper(folder, prefix, binary)
        common = ["--store=redis", f"--replicas={len(urls)}", *flags]
        try:
            for i, url in enumerate(urls):
                node = folder / f"node{i}"
                if node.exists():
                    shutil.rmtree(node)
                (node / "rules").mkdir(parents=True)
                (node / "rules" / "rules.yaml").write_text(rules.text())
                (node / "rules" / "load.yaml").write_text(rules.LOAD_TEXT)
                own = [f"--redis-url={url}"]
                if unix_sockets:
                    own.append(f"--grpc-listen=unix:{node}/s")
                setup = cases.Setup(flags=(*common, *own),
                                    env_items=tuple((environments or {}).get(i, {}).items()))
                self._setups.append((node, setup))
                self.programs.append(program.Program(self._binary, node, setup))
        except BaseException:
            self.kill()
            raise

    @property
    def addresses(self):
        """Of the gRPC listeners."""
        return [node.addresses["grpc"] for node in self.programs]

    def metrics(self, node):
        return exposition.parse(self._http(node, "/metrics"))

    def _http(self, node, path):
        return self._inside(lambda: self.programs[node].http(path)[2])

    def totals(self, selector):
        """The sum of these series, per node."""
        return [exposition.total(self.metrics(i), selector) for i in range(len(self.programs))]

    def durations(self, node, method="Check"):
        """Calls answered by their time: {le: cumulative count}."""
        buckets = {}
        for name, labels, value in self.metrics(node):
            if (name == "weir_request_duration_seconds_bucket" and
                    labels["method"].rpartition("/")[2] == method):
                buckets[labels["le"]] = buckets.get(labels["le"], 0) + value
        return buckets

    def reload(self, text):
        """Other rules, in force on every node afterwards."""
        before = self.totals('weir_config_reloads_total{result="success"}')
        for node in self.programs:
            new = node.rules.parent / "rules.new"
            new.write_text(text)
            os.replace(new, node.rules / "rules.yaml")
        program.poll(lambda: all(now > then for now, then in zip(
            self.totals('weir_config_reloads_total{result="success"}'), before)),
            READY_SECONDS, "the new rules to be in force")

    def kill_node(self, node):
        self.programs[node].signal("KILL")
        self.programs[node].wait()
        self._killed.add(node)

    def restart(self, node):
        """Starts a node again that was killed; its address stays only if it is a Unix socket."""
        folder, setup = self._setups[node]
        self._killed.discard(node)
        self.programs[node] = program.Program(self._binary, folder, setup)

    def leased_hits(self, node):
        """{rule: {what became of them: hits}}, for granted, admitted, expired and returned."""
        found = {}
        for name, labels, value in self.metrics(node):
            if name.startswith(_LEASED) and name.endswith(_TOTAL):
                of_rule = found.setdefault(labels["rule"], collections.Counter())
                of_rule[name.removeprefix(_LEASED).removesuffix(_TOTAL)] += value
        return found

    def connected(self):
        return all(count == 1 for count in self.totals('weir_store_state{state="connected"}'))

    def wait_ready(self, knows_all=True):
        """Until every node is connected, and knows of all others: shares depend on that."""
        program.poll(self.connected, READY_SECONDS, "all nodes to be connected to Redis")
        if knows_all:
            program.poll(lambda: all(n >= len(self.programs) for n in self.totals("weir_nodes")),
                         READY_SECONDS, "all nodes to know of each other")

    def logs(self):
        return "".join(f"--- node {i}\n{node.output('stderr')[-3000:]}"
                       for i, node in enumerate(self.programs))

    def kill(self):
        for node in self.programs:
            for channel in node.channels if hasattr(node, "channels") else ():
                channel.close()
            if node.running():
                node.signal("KILL")
                node.wait()

    def stop(self):
        errors = []
        for node in self.programs:
            if node.running():
                node.signal("TERM")
        for i, node in enumerate(self.programs):
            if i in self._killed:
                continue
            try:
                node.stop()
            except Exception as error:  # the others must be stopped all the same
                errors.append(str(error))
        if errors:
            raise RuntimeError("\n".join(errors))


def _wrapper(folder, prefix, binary):
    """A program that runs the binary behind a command; the process id stays."""
    path = folder / "weir-in-namespace"
    path.write_text("#!/bin/sh\nexec " + " ".join(prefix) + f" {binary} \"$@\"\n")
    os.chmod(path, 0o755)
    return path
