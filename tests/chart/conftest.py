"""Helm 3 and 4 on the chart in helm/. ./dev installs both; WEIR_CHART_TOOLS names their folder."""

import os
import pathlib
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
TOOLS = pathlib.Path(os.environ.get("WEIR_CHART_TOOLS", ROOT / ".venv-node"))
CASES = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*-values.yaml"))
# What a cluster with the operators reports; `helm template` cannot ask one.
APIS = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PodMonitor",
        "monitoring.coreos.com/v1/PrometheusRule", "cert-manager.io/v1/Certificate")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true",
                     help="write tests/chart/golden from what the chart renders now")


class Helm:
    def __init__(self, major):
        self.major = major
        self.program = TOOLS / f"helm{major}" / "helm"
        self.rendered = {}

    def run(self, *arguments, chart=CHART):
        """Runs a command of helm. Returns (exit code, its output, its errors)."""
        command = [str(self.program), *(str(argument) for argument in arguments)]
        # No cluster: a render that asks one fails here.
        environment = {**os.environ, "KUBECONFIG": os.devnull}
        done = subprocess.run(command, cwd=chart, env=environment, capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def template(self, *arguments, chart=CHART, release="weir", apis=APIS):
        """Returns the rendered text. Raises AssertionError with helm's message."""
        options = [f"--api-versions={api}" for api in apis]
        code, out, err = self.run("template", release, chart, "--namespace=limits", *options,
                                  *arguments)
        assert code == 0, err
        return out

    def case(self, name):
        """The text of ci/NAME-values.yaml, rendered once."""
        if name not in self.rendered:
            self.rendered[name] = self.template("-f", CHART / f"ci/{name}-values.yaml")
        return self.rendered[name]

    def fails(self, *arguments):
        """The message with which rendering fails."""
        code, _, err = self.run("template", "weir", CHART, "--namespace=limits",
                                *(f"--api-versions={api}" for api in APIS), *arguments)
        assert code != 0, "this should not render"
        return err


def objects(text):
    return [document for document in yaml.safe_load_all(text) if document]


def find(documents, kind, name=None):
    """The one object of this kind, and name."""
    found = [document for document in documents if document["kind"] == kind
             and name in (None, document["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def pod_specs(documents):
    """Yields (name, pod spec) of every pod that these objects lead to."""
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document["spec"]
        elif "template" in document.get("spec", {}):
            yield name, document["spec"]["template"]["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def environment(container):
    return {entry["name"]: entry.get("value") for entry in container["env"]}


@pytest.fixture(scope="session", params=(3, 4), ids=("helm3", "helm4"))
def helm(request):
    return both(request.param)


@pytest.fixture(scope="session")
def helm4():
    return both(4)


MAJORS = {}


def both(major):
    if major not in MAJORS:
        MAJORS[major] = Helm(major)
    if not MAJORS[major].program.exists():
        pytest.skip(f"helm {major} not found: ./dev setup installs it")
    return MAJORS[major]
