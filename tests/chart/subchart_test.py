"""The chart as a dependency of another, and the package that Helm makes of it."""

import shutil
import tarfile

import pytest
import yaml

from conftest import CASES, CHART, ROOT, Helm, find, kinds, objects, weir_container

PARENT = """apiVersion: v2
name: shop
version: 1.0.0
dependencies:
  - {name: weir, version: ">=0.0.0", condition: weir.enabled}
"""
# What a parent does with the named template: Weir in a pod of its own Deployment.
WITH_SIDECAR = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector:
    matchLabels: {app: shop}
  template:
    metadata:
      labels: {app: shop}
    spec:
      containers:
        - {name: shop, image: "shop:1"}
      {{- include "weir.sidecar" .Subcharts.weir | nindent 6 }}
"""


@pytest.fixture(name="parent")
def _parent(tmp_path):
    chart = tmp_path / "shop"
    (chart / "templates").mkdir(parents=True)
    shutil.copytree(CHART, chart / "charts/weir", ignore=shutil.ignore_patterns("ci", "mixin"))
    (chart / "Chart.yaml").write_text(PARENT, encoding="utf-8")
    return chart


def test_as_a_subchart(helm: Helm, parent):
    settings = ["weir.enabled=true", 'global={"imageRegistry":"g","other":1}', "weir.replicaCount=2"]
    documents = helm.objects(*settings, chart=parent, release="shop")
    deployment = find(documents, "Deployment", "shop-weir")
    assert deployment["spec"]["replicas"] == 2
    assert weir_container(documents)["image"].startswith("g/weir:")
    assert not helm.objects("weir.enabled=false", chart=parent)


def test_a_parent_puts_the_sidecar_into_its_own_pods(helm: Helm, parent):
    (parent / "templates/app.yaml").write_text(WITH_SIDECAR, encoding="utf-8")
    documents = helm.objects('weir.mode="sidecar"', "weir.server.http.port=9080", chart=parent,
                             release="shop")
    spec = find(documents, "Deployment", "shop")["spec"]["template"]["spec"]
    weir = spec["initContainers"][0]
    assert weir["restartPolicy"] == "Always"
    assert {"name": "weir-http", "containerPort": 9080, "protocol": "TCP"} in weir["ports"]
    names = {document["metadata"]["name"] for document in documents}
    for volume in spec["volumes"]:
        if "configMap" in volume:
            assert volume["configMap"]["name"] in names


def test_disabled_renders_nothing(helm: Helm):
    assert kinds(objects(helm.case("disabled"))) == []


def test_package(helm: Helm, tmp_path):
    code, _, err = helm.run("package", CHART, "--destination", tmp_path)
    assert code == 0, err
    with tarfile.open(next(tmp_path.glob("weir-*.tgz"))) as package:
        names = set(package.getnames())
    assert {"weir/Chart.yaml", "weir/values.schema.json", "weir/README.md",
            "weir/files/alerts.yaml", "weir/templates/NOTES.txt"} <= names
    assert not [name for name in names if name.endswith(".py") or "/ci/" in name
                or "/mixin/" in name]


def test_there_are_enough_value_files_and_each_says_what_for():
    assert len(CASES) >= 12
    for case in CASES:
        text = (CHART / f"ci/{case}-values.yaml").read_text(encoding="utf-8")
        assert text.startswith("# "), case
        yaml.safe_load(text)


def test_the_example_of_the_readme_renders(helm4: Helm, tmp_path):
    text = (CHART / "README.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    path = tmp_path / "values.yaml"
    path.write_text(example, encoding="utf-8")
    documents = objects(helm4.template("-f", path))
    assert find(documents, "Deployment")["spec"]["replicas"] == 3
    rules = find(documents, "ConfigMap", "weir-rules")["data"]["shop.yaml"]
    assert yaml.safe_load(rules) == yaml.safe_load(example)["config"]["shop.yaml"]
    assert (ROOT / "docs/helm.md").exists()
