"""Every rendered object against Kubernetes' schemas, unknown fields included, without a cluster.

Kubernetes' own kinds: kubernetes-validate, which carries the schemas of each version. Custom
resources: TypeScript's check of object literals against the types of @kubernetes-models, because
their validators ignore fields they do not know and the type checker does not.
"""

import json
import os
import subprocess

import pytest
import yaml

from conftest import CASES, ROOT, TOOLS, Helm, applied_patch, find, objects, with_patch

VALIDATE = ROOT / ".venv-kubernetes/bin/kubernetes-validate"
MODULES = TOOLS / "npm/node_modules"
CUSTOM = {
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    "cert-manager.io/v1": "@kubernetes-models/cert-manager/cert-manager.io/v1",
    "grafana.integreatly.org/v1beta1":
        "@kubernetes-models/grafana-operator/grafana.integreatly.org/v1beta1",
}
# Fields younger than the oldest version that the chart supports, asked for by these values.
YOUNGER = {"sidecar", "sidecar-redis",  # restartPolicy of init containers: 1.29
           "extras"}  # lifecycle.preStop.sleep: 1.30


def kubernetes_validate(folder, documents, version):
    """Returns what is wrong with these objects of Kubernetes' own."""
    if not VALIDATE.exists():
        pytest.skip("kubernetes-validate not found: ./dev setup installs it")
    path = folder / f"objects-{version}.yaml"
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    done = subprocess.run([VALIDATE, "--strict", "-k", version, path], capture_output=True,
                          text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def rendered(helm, cases):
    documents = []
    for case in cases:
        documents += with_patch(objects(helm.case(case)))
    return documents


def own(documents):
    return [document for document in documents if document["apiVersion"] not in CUSTOM]


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_kubernetes_knows_every_field(helm4: Helm, tmp_path, version):
    cases = set(CASES) - (YOUNGER if version == "1.27" else set())
    code, output = kubernetes_validate(tmp_path, own(rendered(helm4, sorted(cases))), version)
    assert code == 0, "\n".join(line for line in output.split("\n") if "passed" not in line)


def test_an_unknown_field_is_found(helm4: Helm, tmp_path):
    deployment = find(objects(helm4.case("default")), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    code, output = kubernetes_validate(tmp_path, [deployment], "1.37")
    assert code != 0 and "livenessProb" in output


def type_check(folder, documents):
    """Returns what TypeScript says about these custom resources."""
    compiler = MODULES / "typescript/bin/tsc"
    if not compiler.exists():
        pytest.skip("typescript not found: ./dev setup installs it")
    # Modules are looked for in the folders above the file.
    (folder / "node_modules").symlink_to(MODULES)
    lines = []
    for number, document in enumerate(documents):
        kind, module = document["kind"], CUSTOM[document["apiVersion"]]
        lines.append(f'import type {{ I{kind} as T{number} }} from "{module}";')
        lines.append(f"export const o{number}: T{number} = {json.dumps(document)};")
    (folder / "objects.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")
    node = ROOT / ".venv-node/bin/node"
    path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["node", compiler, "--noEmit", "--strict", "--skipLibCheck", "--module", "esnext",
         "--moduleResolution", "bundler", "objects.ts"],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120,
        check=False)
    return done.stdout + done.stderr


def custom(documents):
    return [document for document in documents if document["apiVersion"] in CUSTOM]


def test_operators_know_every_field_of_custom_resources(helm4: Helm, tmp_path):
    documents = custom(rendered(helm4, CASES))
    assert {document["kind"] for document in documents} == {
        "ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate", "GrafanaDashboard"}
    assert type_check(tmp_path, documents) == ""


def test_an_unknown_field_of_a_custom_resource_is_found(helm4: Helm, tmp_path):
    documents = custom(objects(helm4.case("production")))
    find(documents, "ServiceMonitor")["spec"]["endpoints"][0]["intervall"] = "15s"
    find(documents, "Certificate")["spec"]["usages"].append("server oauth")
    del find(documents, "PrometheusRule")["spec"]["groups"][0]["name"]
    output = type_check(tmp_path, documents)
    assert "'\"intervall\"' does not exist in type" in output
    assert "server oauth" in output
    assert "Property '\"name\"' is missing" in output


@pytest.mark.parametrize("case", ["sidecar", "sidecar-redis"])
def test_the_patch_of_a_sidecar_applies(helm4: Helm, tmp_path, case):
    """With kubectl's own strategic merge, into an application that has containers and volumes."""
    documents = objects(helm4.case(case))
    patch = find(documents, "ConfigMap", "weir-sidecar")["data"]["patch.yaml"]
    wanted = applied_patch(documents)["spec"]["template"]
    app = applied_patch(documents)
    app["spec"]["template"] = {"metadata": {"labels": {"app": "shop"}}, "spec": {
        "containers": wanted["spec"]["containers"], "volumes": [{"name": "own", "emptyDir": {}}],
        "initContainers": [{"name": "prepare", "image": "shop:1"}]}}
    (tmp_path / "app.yaml").write_text(yaml.safe_dump(app), encoding="utf-8")
    (tmp_path / "weir.yaml").write_text(patch, encoding="utf-8")
    kubectl = TOOLS / "helm4/kubectl/kubectl"
    if not kubectl.exists():
        pytest.skip("kubectl not found: ./dev setup installs it")
    done = subprocess.run(
        [kubectl, "patch", "--local", "-f", "app.yaml", "--type=strategic",
         "--patch-file=weir.yaml", "-o", "yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    pod = yaml.safe_load(done.stdout)["spec"]["template"]
    assert pod["metadata"]["labels"] == {"app": "shop", "weir-sidecar": "weir"}
    assert [entry["name"] for entry in pod["spec"]["initContainers"]] == ["weir", "prepare"]
    assert pod["spec"]["initContainers"][0] == wanted["spec"]["initContainers"][0]
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == {
        "own", *(volume["name"] for volume in wanted["spec"]["volumes"])}
