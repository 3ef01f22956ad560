"""The chart as a dependency of another, and the package that Helm makes of it."""

import shlex
import shutil
import tarfile

import pytest
import yaml

from conftest import (CASES, CHART, ROOT, Helm, environment, find, kinds, objects,
                      weir_container)

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
    settings = ["weir.enabled=true", 'global={"imageRegistry":"g","other":1}',
                "weir.replicaCount=2"]
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


def blocks(kind):
    """The YAML blocks of docs/helm.md that begin with a comment of this kind."""
    text = (ROOT / "docs/helm.md").read_text(encoding="utf-8")
    return [block.partition("```")[0] for block in text.split(f"```yaml\n# {kind}\n")[1:]]


def test_every_values_block_of_the_guide_renders(helm: Helm, tmp_path):
    assert len(blocks("values")) >= 7
    for number, block in enumerate(blocks("values")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        assert objects(helm.template("-f", path))


def test_the_commands_of_the_readme_render(helm: Helm):
    """`helm install weir ./helm …` of README.md, as `helm template`."""
    commands = [shlex.split(line, comments=True)
                for line in (ROOT / "README.md").read_text(encoding="utf-8").split("\n")
                if line.startswith("helm install weir ./helm")]
    shapes = [kinds(objects(helm.template(*command[4:]))) for command in commands]
    assert ["Deployment" in shape for shape in shapes] == [True, False, False]
    assert ["DaemonSet" in shape for shape in shapes] == [False, True, False]


def test_the_pod_of_the_guide_is_that_of_the_chart(helm4: Helm):
    """The sidecar that applications copy has the name, the ports and the paths of the patch."""
    by_hand = yaml.safe_load(blocks("pod")[0])["spec"]
    ours = weir_container(helm4.objects('mode="sidecar"', "server.http.port=9080"))
    copied = by_hand["initContainers"][0]
    for key in ("name", "image", "restartPolicy", "command", "startupProbe"):
        assert copied[key] == ours[key], key
    env = environment(ours)
    for argument in copied["args"][1:]:
        name, _, value = argument.removeprefix("--").partition("=")
        assert env[f"WEIR_{name.upper().replace('-', '_')}"] == value
    mounts = {(mount["name"], mount["mountPath"]) for mount in copied["volumeMounts"]}
    assert mounts <= {(mount["name"], mount["mountPath"]) for mount in ours["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in by_hand["volumes"]}
    assert volumes["weir-rules"]["configMap"]["name"] == "weir-rules"
