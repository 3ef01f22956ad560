"""Rules that hold for every render: Pod Security, names said once, selectors, probes, mounts."""

import re

import pytest

from conftest import (CASES, ROOT, Helm, containers, environment, objects, pod_specs, with_patch,
                      weir_container)

# From Kubernetes' Pod Security Standards, "restricted" (which includes "baseline").
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}


def restricted(spec):
    """Yields what Pod Security "restricted" would refuse in a pod."""
    pod = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    for container in containers(spec):
        name, own = container["name"], container.get("securityContext", {})
        if own.get("privileged") or own.get("allowPrivilegeEscalation", True):
            yield f"{name}: allowPrivilegeEscalation"
        if own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name}: capabilities.drop"
        if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities.add"
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
            yield f"{name}: runAsNonRoot"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{name}: runAsUser"
        profile = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccompProfile"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: hostPort"


def test_the_reader_of_pod_security_finds_faults():
    good = {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "securityContext": {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}
    assert not list(restricted(good))
    assert list(restricted({"containers": [{"name": "a"}]})) == [
        "a: allowPrivilegeEscalation", "a: capabilities.drop", "a: runAsNonRoot",
        "a: seccompProfile"]
    bad = {**good, "hostNetwork": True, "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}
    assert list(restricted(bad)) == ["hostNetwork", "volume v"]


@pytest.mark.parametrize("case", CASES)
def test_pod_security_restricted(helm4: Helm, case):
    found = [f"{name}: {fault}" for name, spec in pod_specs(objects(helm4.case(case)))
             for fault in restricted(spec)]
    assert not found


@pytest.mark.parametrize("case", CASES)
def test_our_containers_write_nowhere_and_have_no_token(helm4: Helm, case):
    for name, spec in pod_specs(objects(helm4.case(case))):
        if name != "Deployment/shop":
            assert spec["automountServiceAccountToken"] is False, name
        for container in containers(spec):
            if container["name"] in ("weir", "check", "redis"):
                assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


def repeated(items):
    items = list(items)
    return sorted({item for item in items if items.count(item) > 1})


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_said_twice(helm4: Helm, case):
    documents = with_patch(objects(helm4.case(case)))
    assert not repeated((document["kind"], document["metadata"]["name"]) for document in documents)
    for name, spec in pod_specs(documents):
        assert not repeated(volume["name"] for volume in spec.get("volumes", [])), name
        assert not repeated(container["name"] for container in containers(spec)), name
        for container in containers(spec):
            assert not repeated(entry["name"] for entry in container.get("env", [])), name
            mounts = container.get("volumeMounts", [])
            assert not repeated(mount["mountPath"] for mount in mounts), name
            assert not repeated(port["name"] for port in container.get("ports", [])), name


@pytest.mark.parametrize("case", CASES)
def test_every_mount_has_its_volume_and_no_subpath(helm4: Helm, case):
    for name, spec in pod_specs(objects(helm4.case(case))):
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        for container in containers(spec):
            for mount in container.get("volumeMounts", []):
                assert mount["name"] in volumes, f"{name}: {mount}"
                assert "subPath" not in mount, f"{name}: files by subPath never change"


def selectors(documents):
    for document in documents:
        spec = document.get("spec", {})
        selector = spec.get("selector", {})
        if document["kind"] in ("Deployment", "DaemonSet", "PodDisruptionBudget"):
            yield document, selector["matchLabels"]
        elif document["kind"] == "Service":
            yield document, selector
        elif document["kind"] == "NetworkPolicy":
            yield document, spec["podSelector"]["matchLabels"]


@pytest.mark.parametrize("case", CASES)
def test_selectors_never_change_with_a_version(helm4: Helm, case):
    documents = objects(helm4.case(case))
    for document, selector in selectors(documents):
        assert set(selector) == {f"app.kubernetes.io/{key}"
                                 for key in ("name", "instance", "component")}, document["kind"]
        if document["kind"] in ("Deployment", "DaemonSet"):
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert selector.items() <= labels.items()
            assert "helm.sh/chart" not in labels, "every new chart would restart the pods"


@pytest.mark.parametrize("case", CASES)
def test_labels_of_every_object(helm4: Helm, case):
    for document in objects(helm4.case(case)):
        if document["metadata"]["name"] in ("weir-extra", "weir-text"):
            continue
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "weir"
        assert labels["helm.sh/chart"].startswith("weir-")
        assert all(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)
                   for value in labels.values()), labels


@pytest.mark.parametrize("case", CASES)
def test_probes_never_ask_redis(helm4: Helm, case):
    for name, spec in pod_specs(objects(helm4.case(case))):
        for container in containers(spec):
            if container["name"] != "weir":
                continue
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = container.get(probe, {}).get("httpGet", {}).get("path")
                assert path in (None, "/livez", "/readyz"), name
            assert "WEIR_REDIS_HEALTH_CHECK_ACTIVE_CONNECTION" not in environment(container)


@pytest.mark.parametrize("case", CASES)
def test_no_password_is_in_a_pod_or_configmap(helm4: Helm, case):
    for document in objects(helm4.case(case)):
        if document["kind"] != "Secret":
            assert "p@ss" not in str(document)


@pytest.mark.parametrize("case", [case for case in CASES if case != "disabled"])
def test_the_admin_port_is_never_reachable(helm4: Helm, case):
    documents = objects(helm4.case(case))
    container = weir_container(documents)
    admin = environment(container)["WEIR_ADMIN_LISTEN"]
    assert admin.startswith(("127.0.0.1:", "[::1]:"))
    port = int(admin.rpartition(":")[2])
    assert port not in [entry["containerPort"] for entry in container["ports"]]
    assert port not in [entry["port"] for document in documents if document["kind"] == "Service"
                        for entry in document["spec"]["ports"]]


def test_every_variable_is_a_setting_of_weir(helm4: Helm):
    known = set(re.findall(r"`(WEIR_[A-Z0-9_]+)`",
                           (ROOT / "docs/settings.md").read_text(encoding="utf-8")))
    used = {name for case in CASES if case != "disabled"
            for name in environment(weir_container(objects(helm4.case(case))))}
    assert {name for name in used if name.startswith("WEIR_")} <= known
