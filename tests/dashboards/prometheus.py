"""A real Prometheus that scrapes what a test gives it and evaluates the rules of helm/files."""

import json
import math
import subprocess
import urllib.parse
import urllib.request

import mixin
import program
import yaml

START_SECONDS = 30
SCRAPE = "500ms"


class Prometheus:
    def __init__(self, executable, folder, jobs):
        """`jobs`: {job: (path, [address])}."""
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({
            "global": {"scrape_interval": SCRAPE, "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in (mixin.HELM / "files").iterdir()],
            "scrape_configs": [
                {"job_name": job, "metrics_path": path, "static_configs": [{"targets": targets}]}
                for job, (path, targets) in jobs.items()]}))
        self.address = f"127.0.0.1:{program.free_port()}"
        self._log = open(folder / "prometheus.txt", "wb")
        self._process = subprocess.Popen(
            [executable, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={self.address}"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            program.poll(self._ready, START_SECONDS, f"Prometheus to serve, see {self._log.name}")
        except BaseException:
            self.stop()
            raise

    def _ready(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"Prometheus ended, see {self._log.name}")
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _get(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters, True)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expr):
        """[(labels, value)] of now, without what is not a number."""
        data = self._get("query", query=expr)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        found = [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]
        return [(labels, value) for labels, value in found if not math.isnan(value)]

    def series(self, selector):
        """The labels of every series it has of these."""
        return self._get("series", **{"match[]": selector})

    def rules(self):
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
