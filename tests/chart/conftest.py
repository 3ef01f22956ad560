"""Helm 3 and 4 on the chart in helm/. ./dev installs both; WEIR_CHART_TOOLS names their folder."""

import atexit
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm"
TOOLS = pathlib.Path(os.environ.get("WEIR_CHART_TOOLS", ROOT / ".venv-node"))
CASES = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*-values.yaml"))
# What a cluster with the operators reports; `helm template` cannot ask one.
APIS = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PodMonitor",
        "monitoring.coreos.com/v1/PrometheusRule", "cert-manager.io/v1/Certificate",
        "grafana.integreatly.org/v1beta1/GrafanaDashboard")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true",
                     help="write tests/chart/golden from what the chart renders now")
    parser.addoption("--cluster", action="store_true",
                     help="only the tests on a real kube-apiserver, which others leave out")


def pytest_collection_modifyitems(config, items):
    wanted = [item for item in items
              if (item.path.name == "cluster_test.py") == config.getoption("--cluster")]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


@functools.cache
def fixture_chart():
    """The chart with small alerts and a small dashboard in place of the real ones: what those say
    is tested elsewhere, and golden files need not change with them."""
    folder = tempfile.TemporaryDirectory(prefix="weir-chart-")
    atexit.register(folder.cleanup)
    chart = pathlib.Path(folder.name) / "weir"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("files", "dashboards", "mixin"))
    shutil.copytree(ROOT / "tests/chart/fixture", chart, dirs_exist_ok=True)
    return chart


class Helm:
    def __init__(self, major):
        self.major = major
        self.program = TOOLS / f"helm{major}/helm/helm"
        self.rendered = {}

    def run(self, *arguments):
        """Runs a command of helm. Returns (exit code, its output, its errors)."""
        command = [str(self.program), *(str(argument) for argument in arguments)]
        # No cluster: a render that asks one fails here.
        environment = {**os.environ, "KUBECONFIG": os.devnull}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60,
                              check=False)
        return done.returncode, done.stdout, done.stderr

    def try_template(self, *arguments, chart=None, release="weir", apis=APIS):
        options = [f"--api-versions={api}" for api in apis]
        return self.run("template", release, chart or fixture_chart(), "--namespace=limits",
                        *options, *arguments)

    def template(self, *arguments, **options):
        """Returns the rendered text. Raises AssertionError with helm's message."""
        code, out, err = self.try_template(*arguments, **options)
        assert code == 0, err
        return out

    def objects(self, *settings, **options):
        """Renders with these NAME=JSON values. Returns the objects."""
        return objects(self.template(*(f"--set-json={setting}" for setting in settings), **options))

    def case(self, name):
        """The text of ci/NAME-values.yaml, rendered once."""
        if name not in self.rendered:
            self.rendered[name] = self.template("-f", CHART / f"ci/{name}-values.yaml")
        return self.rendered[name]

    def fails(self, *settings, **options):
        """The message with which rendering with these NAME=JSON values fails."""
        code, _, err = self.try_template(*(f"--set-json={setting}" for setting in settings),
                                         **options)
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


def kinds(documents):
    return sorted(document["kind"] for document in documents)


def applied_patch(documents):
    """A Deployment of an application with the patch of sidecar mode in it; None in other modes."""
    for document in documents:
        if "patch.yaml" in document.get("data", {}):
            patch = yaml.safe_load(document["data"]["patch.yaml"])["spec"]["template"]
            labels = {"app": "shop", **patch["metadata"]["labels"]}
            # What an application needs for Pod Security "restricted" by itself.
            context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                       "runAsNonRoot": True, "runAsUser": 65532,
                       "seccompProfile": {"type": "RuntimeDefault"}}
            spec = {"containers": [{"name": "shop", "image": "shop:1", "securityContext": context}],
                    **patch["spec"]}
            return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
                    "spec": {"selector": {"matchLabels": {"app": "shop"}},
                             "template": {"metadata": {"labels": labels}, "spec": spec}}}
    return None


def with_patch(documents):
    patched = applied_patch(documents)
    return documents + ([patched] if patched else [])


def pod_specs(documents):
    """Yields (name, pod spec) of every pod that these objects lead to."""
    for document in with_patch(documents):
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document["spec"]
        elif "template" in document.get("spec", {}):
            yield name, document["spec"]["template"]["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def weir_container(documents):
    """Weir's own container, wherever the mode puts it."""
    found = [container for _, spec in pod_specs(documents) for container in containers(spec)
             if container["name"] == "weir"]
    assert found, "no container weir"
    return found[0]


def environment(container):
    return {entry["name"]: entry.get("value") for entry in container["env"]}


@pytest.fixture(scope="session", params=(3, 4), ids=("helm3", "helm4"))
def helm(request):
    return both(request.param)


@pytest.fixture(scope="session")
def helm4():
    return both(4)


@functools.cache
def both(major):
    helm = Helm(major)
    if not helm.program.exists():
        pytest.skip(f"helm {major} not found: ./dev setup installs it")
    return helm
