"""Starts and stops a real Envoy, talks through it, and reads what it counted."""

import dataclasses
import http.client
import json
import subprocess

import program

START_SECONDS = 30
STOP_SECONDS = 30


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict  # names in lower case
    body: str

    def number(self, name):
        return int(self.headers[name])


def get(port, path="/", headers=None, connection=None):
    """One GET request to 127.0.0.1; over `connection`, or one of its own."""
    client = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request("GET", path, headers=headers or {})
        answer = client.getresponse()
        body = answer.read().decode()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, body)
    finally:
        if connection is None:
            client.close()


def validate(envoy, path):
    """Envoy's opinion of a configuration file: (exit code, output)."""
    run = subprocess.run([envoy, "--mode", "validate", "-c", str(path)], capture_output=True,
                         text=True, timeout=START_SECONDS, check=False)
    return run.returncode, run.stdout + run.stderr


class Envoy:
    """One running Envoy, with a folder of its own."""

    def __init__(self, envoy, folder, bootstrap):
        folder.mkdir(parents=True)
        self._folder = folder
        config = folder / "envoy.yaml"
        config.write_text(bootstrap.text())
        admin = folder / "admin.txt"
        self._stdout = open(folder / "stdout.txt", "wb")
        self._stderr = open(folder / "stderr.txt", "wb")
        self._process = subprocess.Popen(
            [envoy, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "2",
             "--log-level", "warning", "--admin-address-path", str(admin)],
            stdin=subprocess.DEVNULL, stdout=self._stdout, stderr=self._stderr, cwd=folder)
        try:
            address = self._poll(lambda: admin.exists() and admin.read_text(), "its admin address")
            self.admin_port = int(address.rsplit(":", 1)[1])
            self._poll(self._ready, "/ready")
            self.port = self._listeners()["edge"]
        except Exception:
            self._process.kill()
            self._process.wait()
            raise

    def _poll(self, done, what):
        def alive_and_done():
            if self._process.poll() is not None:
                raise RuntimeError(f"Envoy ended with {self._process.returncode}:\n"
                                   + (self._folder / "stderr.txt").read_text()[-4000:])
            return done()
        return program.poll(alive_and_done, START_SECONDS, what)

    def _ready(self):
        try:
            return get(self.admin_port, "/ready").status == 200
        except ConnectionError:
            return False

    def _listeners(self):
        pages = json.loads(get(self.admin_port, "/listeners?format=json").body)
        return {item["name"]: item["local_address"]["socket_address"]["port_value"]
                for item in pages["listener_statuses"]}

    def get(self, path="/", headers=None, **named):
        """GET through the edge listener; user="ann" is the header x-user: ann."""
        headers = dict(headers or {}, **{f"x-{name}": value for name, value in named.items()})
        return get(self.port, path, headers)

    def stats(self):
        pages = json.loads(get(self.admin_port, "/stats?format=json").body)
        return {item["name"]: item["value"] for item in pages["stats"] if "name" in item}

    def rate_limit_stats(self):
        """What the filter counted: ok, over_limit, error, failure_mode_allowed."""
        prefix = "cluster.service.ratelimit."
        return {name.removeprefix(prefix): value for name, value in self.stats().items()
                if name.startswith(prefix) and value}

    def healthy(self, cluster):
        """The ports of the cluster's endpoints that Envoy sends requests to."""
        pages = json.loads(get(self.admin_port, "/clusters?format=json").body)
        found = next(c for c in pages["cluster_statuses"] if c["name"] == cluster)
        return {host["address"]["socket_address"]["port_value"]
                for host in found.get("host_statuses", [])
                if not any(value is True for value in host["health_status"].values())}

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._stdout.close()
            self._stderr.close()
        if code != 0:
            raise RuntimeError(f"Envoy ended with exit code {code}:\n"
                               + (self._folder / "stderr.txt").read_text()[-4000:])

    def access_log(self):
        """Its lines, complete once Envoy has stopped."""
        return (self._folder / "stdout.txt").read_text().splitlines()
