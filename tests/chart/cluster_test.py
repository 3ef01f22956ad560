"""The chart on a real kube-apiserver (./dev test-chart): install, upgrade, rollback, uninstall with
both majors of helm, in a namespace that enforces Pod Security "restricted".

There is no kubelet and no controller: objects are validated, defaulted and stored, pods never run.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
import yaml

from conftest import APIS, CASES, CHART, ROOT, TOOLS, fixture_chart, objects, pod_specs

APISERVER = pathlib.Path(os.environ.get("WEIR_APISERVER", ROOT / ".venv-go/bin/kube-apiserver"))
START_S = 60
TOKEN = "test"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """etcd and kube-apiserver on free ports of loopback, with their state in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.kubeconfig = folder / "kubeconfig"

    def start(self):
        client, peer, secure = free_port(), free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        self.spawn("etcd", shutil.which("etcd"), f"--data-dir={self.folder}/etcd",
                   f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
                   f"--listen-peer-urls=http://127.0.0.1:{peer}",
                   f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                   f"--initial-cluster=default=http://127.0.0.1:{peer}")
        key = self.folder / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens").write_text(f'{TOKEN},admin,1,"system:masters"\n', encoding="utf-8")
        self.spawn("kube-apiserver", APISERVER, f"--etcd-servers={etcd}",
                   "--bind-address=127.0.0.1", f"--secure-port={secure}",
                   f"--cert-dir={self.folder}/certificates",
                   f"--token-auth-file={self.folder}/tokens",
                   "--service-account-issuer=https://weir.test",
                   f"--service-account-key-file={key}",
                   f"--service-account-signing-key-file={key}",
                   "--service-cluster-ip-range=10.0.0.0/24",
                   "--disable-admission-plugins=ServiceAccount")
        server = f"https://127.0.0.1:{secure}"
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": server, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }), encoding="utf-8")
        self.wait()

    def spawn(self, name, program, *arguments):
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes.append(subprocess.Popen(
                [program, *arguments], stdout=log, stderr=subprocess.STDOUT))

    def wait(self):
        deadline = time.monotonic() + START_S
        while True:
            code, out, err = self.kubectl("get", "--raw", "/readyz")
            if code == 0 and out == "ok":
                return
            if time.monotonic() > deadline or any(process.poll() is not None
                                                  for process in self.processes):
                log = (self.folder / "kube-apiserver.log").read_text(encoding="utf-8")
                raise AssertionError(f"the API server does not start: {err}\n{log[-3000:]}")
            time.sleep(0.2)

    def stop(self):
        # Without its etcd a server that is asked to end would wait for minutes.
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def run(self, program, *arguments, text=None):
        done = subprocess.run(
            [program, *(str(argument) for argument in arguments)], input=text, text=True,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)},
            capture_output=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def kubectl(self, *arguments, text=None):
        return self.run(TOOLS / "helm4/kubectl/kubectl", *arguments, text=text)

    def good(self, major, *arguments):
        """Runs a command of helm that must succeed without a word about Pod Security."""
        code, out, err = self.run(TOOLS / f"helm{major}/helm/helm", *arguments)
        assert code == 0, err
        assert "would violate PodSecurity" not in err
        assert "unknown field" not in err and "duplicate" not in err
        return out

    def get(self, namespace, kind, name=""):
        code, out, err = self.kubectl("get", "-n", namespace, kind, *([name] if name else []),
                                      "-o", "json", "--ignore-not-found")
        assert code == 0, err
        return json.loads(out) if out else None

    def namespace(self, name):
        """A namespace that refuses and warns about what Pod Security "restricted" forbids."""
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted"
                  for mode in ("enforce", "warn")}
        code, _, err = self.kubectl("apply", "-f", "-", text=yaml.safe_dump(
            {"apiVersion": "v1", "kind": "Namespace",
             "metadata": {"name": name, "labels": labels}}))
        assert code == 0, err
        return name


@pytest.fixture(name="cluster", scope="module")
def _cluster():
    for program in (APISERVER, shutil.which("etcd")):
        if not program or not pathlib.Path(program).exists():
            pytest.skip("kube-apiserver or etcd not found: ./dev test-chart installs both")
    with tempfile.TemporaryDirectory(prefix="weir-cluster-") as folder:
        cluster = Cluster(pathlib.Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(name="major", params=(3, 4), ids=("helm3", "helm4"))
def _major(request):
    return request.param


def values(case):
    return ["-f", CHART / f"ci/{case}-values.yaml"]


def test_life_of_a_release(cluster, major):
    namespace = cluster.namespace(f"life{major}")
    common = ["weir", CHART, "-n", namespace]
    out = cluster.good(major, "install", *common, *values("redis-cluster"))
    assert f"weir.{namespace}.svc:8081" in out, "NOTES are printed"
    first = cluster.get(namespace, "deployment", "weir")
    assert first["spec"]["replicas"] == 2
    cluster.good(major, "upgrade", *common, *values("extras"))
    second = cluster.get(namespace, "deployment", "weir")
    assert second["metadata"]["uid"] == first["metadata"]["uid"], "upgraded in place"
    assert cluster.get(namespace, "networkpolicy", "weir") is None
    env = second["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "WEIR_LOG_LEVEL", "value": "debug"} in env
    cluster.good(major, "rollback", "weir", "1", "-n", namespace)
    third = cluster.get(namespace, "deployment", "weir")
    assert third["spec"]["template"] == first["spec"]["template"]
    assert cluster.get(namespace, "networkpolicy", "weir") is not None
    cluster.good(major, "upgrade", *common, *values("daemonset"))
    assert cluster.get(namespace, "deployment", "weir") is None
    assert cluster.get(namespace, "daemonset", "weir") is not None
    cluster.good(major, "uninstall", "weir", "-n", namespace)
    assert cluster.get(namespace, "deployment,daemonset,service,configmap,secret,pdb,hpa,"
                                  "networkpolicy,serviceaccount") is None


def test_an_upgrade_that_changes_only_the_rules_keeps_the_pods(cluster, major):
    namespace = cluster.namespace(f"rules{major}")
    common = ["weir", CHART, "-n", namespace]
    cluster.good(major, "install", *common, "--set-json", 'config={"a.yaml":"domain: a\\n"}')
    before = cluster.get(namespace, "deployment", "weir")
    cluster.good(major, "upgrade", *common, "--set-json", 'config={"a.yaml":"domain: b\\n"}',
                 "--set", "enforcement.shadow=true")
    after = cluster.get(namespace, "deployment", "weir")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert cluster.get(namespace, "configmap", "weir-rules")["data"] == {"a.yaml": "domain: b\n"}


def test_enforcement_edited_by_hand_is_taken_back_as_the_guide_says(cluster, major):
    namespace = cluster.namespace(f"edited{major}")
    common = ["weir", CHART, "-n", namespace]
    cluster.good(major, "install", *common)
    for command in (["upgrade", *common], ["rollback", "weir", "1", "-n", namespace]):
        code, _, err = cluster.kubectl(
            "patch", "configmap", "weir-enforcement", "-n", namespace, "--type=merge",
            "--field-manager=kubectl-edit", "-p", '{"data":{"enforcement.yaml":"shadow: true"}}')
        assert code == 0, err
        # Helm 4 applies on the server's side, which keeps what another has written.
        option = [] if major == 3 else ["--force-conflicts"]
        if major == 4:
            assert "conflict" in cluster.run(TOOLS / "helm4/helm/helm", *command)[2]
        cluster.good(major, *command, *option)
        data = cluster.get(namespace, "configmap", "weir-enforcement")["data"]
        assert "shadow: false" in data["enforcement.yaml"]


def test_a_release_of_helm_3_is_upgraded_by_helm_4(cluster):
    namespace = cluster.namespace("from3to4")
    cluster.good(3, "install", "weir", CHART, "-n", namespace, *values("default"))
    cluster.good(4, "upgrade", "weir", CHART, "-n", namespace, *values("extras"))
    env = cluster.get(namespace, "deployment", "weir")["spec"]["template"]["spec"]["containers"][0][
        "env"]
    assert {"name": "WEIR_LOG_LEVEL", "value": "debug"} in env
    cluster.good(4, "uninstall", "weir", "-n", namespace)


@pytest.mark.parametrize("case", CASES)
def test_server_side_apply_takes_every_case(cluster, case):
    """Strict decoding and validation of the server; custom resources are in objects_test."""
    namespace = cluster.namespace("limits")
    out = cluster.good(4, "template", "weir", fixture_chart(), "-n", namespace, *values(case))
    apis = tuple(api.rpartition("/")[2] for api in APIS)
    documents = [document for document in objects(out) if document["kind"] not in apis]
    for document in documents:
        if document["metadata"].get("namespace", namespace) != namespace:
            cluster.namespace(document["metadata"]["namespace"])
    if documents:
        code, _, err = cluster.kubectl("apply", "--server-side", "--dry-run=server",
                                       "--validate=strict", "-f", "-",
                                       text=yaml.safe_dump_all(documents))
        assert code == 0 and "Warning" not in err, err


def admitted(cluster, namespace, spec):
    """Asks the server to take a pod of this spec. Returns its refusal."""
    spec = {key: value for key, value in spec.items()
            if key not in ("serviceAccountName", "priorityClassName")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "weir-probe"}, "spec": spec}
    _, _, err = cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-n", namespace,
                                "-f", "-", text=yaml.safe_dump(pod))
    return err


@pytest.mark.parametrize("case", CASES)
def test_pod_security_admits_every_pod(cluster, case):
    """Admission blocks pods, not Deployments: the pods are asked for as such."""
    namespace = cluster.namespace("limits")
    out = cluster.good(4, "template", "weir", fixture_chart(), "-n", namespace, *values(case))
    for name, spec in pod_specs(objects(out)):
        assert admitted(cluster, namespace, spec) == "", name


def test_pod_security_is_enforced(cluster):
    namespace = cluster.namespace("limits")
    out = cluster.good(4, "template", "weir", CHART, "--set-json",
                       'securityContext={"capabilities":null}')
    spec = next(spec for name, spec in pod_specs(objects(out)) if name == "Deployment/weir")
    assert "violates PodSecurity" in admitted(cluster, namespace, spec)


def test_the_sidecar_by_the_commands_of_the_notes(cluster, major):
    namespace = cluster.namespace(f"sidecar{major}")
    notes = cluster.good(major, "install", "weir", CHART, "-n", namespace, *values("sidecar"))
    app = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"}, "spec": {
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {"metadata": {"labels": {"app": "shop"}},
                     "spec": {"containers": [{"name": "shop", "image": "shop:1"}]}}}}
    code, _, err = cluster.kubectl("apply", "-n", namespace, "-f", "-", text=yaml.safe_dump(app))
    assert code == 0, err
    commands = [line.strip() for line in notes.split("\n") if line.strip().startswith("kubectl")]
    assert len(commands) == 2
    path = f"{TOOLS / 'helm4/kubectl'}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command.replace("deployment APP", "deployment shop")],
            cwd=cluster.folder, text=True, capture_output=True, timeout=60, check=False,
            env={**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)})
        assert done.returncode == 0, done.stderr
    spec = cluster.get(namespace, "deployment", "shop")["spec"]["template"]["spec"]
    assert spec["initContainers"][0]["restartPolicy"] == "Always"
    assert [container["name"] for container in spec["containers"]] == ["shop"]
