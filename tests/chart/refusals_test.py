"""Values that cannot work are refused with a message of ours; what may be meant is warned about."""

import pytest

from conftest import CHART, Helm

# (values as NAME=JSON, what the message says)
REFUSED = [
    (['config={"a.yaml":"x"}', 'existingConfigMap="rules"'],
     "config and existingConfigMap are both set: choose one"),
    (['mode="daemonset"', "replicaCount=3"],
     "replicaCount is 3, but mode is daemonset: there is one Weir per node"),
    (['mode="sidecar"', "replicaCount=2"], "there is one Weir per pod of the application"),
    (['mode="daemonset"', "autoscaling.enabled=true"], "autoscaling.enabled needs mode deployment"),
    (["autoscaling.enabled=true", "autoscaling.minReplicas=5", "autoscaling.maxReplicas=4"],
     "autoscaling.minReplicas (5) is above autoscaling.maxReplicas (4)"),
    (["autoscaling.enabled=true", "autoscaling.targetCPUUtilizationPercentage=null"],
     "autoscaling.enabled needs a target"),
    (["pdb.enabled=true"], "pdb.enabled with replicaCount 1 protects nothing or blocks"),
    (['mode="daemonset"', "pdb.enabled=true"], "pdb.enabled needs mode deployment"),
    (["pdb.minAvailable=1"], "pdb.minAvailable and pdb.maxUnavailable exclude each other"),
    (["terminationGracePeriodSeconds=9"],
     "(9) is shorter than drain.delaySeconds + drain.maxSeconds (15)"),
    (['fullnameOverride="my.weir"'], "the Service would be named my.weir: set fullnameOverride"),
    (['nameOverride="Limits"'], "the Service would be named weir-Limits: set fullnameOverride"),
    (['nameOverride="weir."', 'fullnameOverride="weir"'],
     "nameOverride is weir., no value of a label"),
    (['image.tag="latest"'], "image.tag is latest: name a version"),
    (['settings={"redis-url":"redis:6379"}'],
     "settings.redis-url: the chart sets it; use redis.addresses"),
    (['settings={"shadow-mode":true}'],
     "settings.shadow-mode: the chart sets it; use enforcement.shadow"),
    (['settings={"redis-per-second-password":"x"}'],
     "a password in the environment of a pod can be read by many"),
    (["server.grpc.port=8080"], "must differ; they are 8080, 8080, 6070"),
    (["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"],
     "both enabled: everything would be counted twice"),
    (['mode="sidecar"', "metrics.serviceMonitor.enabled=true"],
     "metrics.serviceMonitor finds nothing in mode sidecar"),
    (['metrics.prometheusRule.disabled=["WeirUp"]'],
     "there is no alert WeirUp; there are WeirDown, WeirLeaseWaste"),
    (['redis.addresses=["redis"]', 'redis.password="a"', 'redis.existingSecret="b"'],
     "redis.password and redis.existingSecret are both set: choose one"),
    (["redis.dev.enabled=true", 'redis.addresses=["redis"]'],
     "redis.dev.enabled starts a single Redis without password and TLS"),
    (['redis.existingSecret="a"'], "redis is configured, but redis.addresses is empty"),
    (['redis.mode="sentinel"', 'redis.addresses=["a:26379"]'], "needs redis.sentinelMaster"),
    (['redis.addresses=["a"]', 'redis.sentinelMaster="m"'],
     "need redis.mode sentinel; it is single"),
    (['redis.addresses=["a"]', 'redis.mode="sentinel"', 'redis.sentinelMaster="m"',
      'redis.password="geheim"', 'redis.existingSecretSentinelKey="k"'],
     "redis.existingSecretSentinelKey needs redis.existingSecret, the Secret it is a key of"),
    (['redis.addresses=["a","b"]'], "redis.mode single takes one address"),
    (['redis.mode="cluster"', 'redis.addresses=["a"]', "redis.db=1"], "has only database 0"),
    (['redis.addresses=["redis://u:geheim@a:6379"]'],
     "redis.addresses: redis://(masked)@a:6379 is not HOST:PORT"),
    (['redis.addresses=["a"]', 'redis.tls.certKey="c"', 'redis.tls.existingSecret="s"'],
     "redis.tls.certKey and redis.tls.keyKey belong together"),
    (['redis.addresses=["a"]', 'redis.tls.certKey="c"', 'redis.tls.keyKey="k"'],
     "redis.tls.certKey needs redis.tls.existingSecret"),
    (["tls.enabled=true"], "tls.enabled needs a certificate"),
    (["tls.enabled=true", 'tls.existingSecret="s"', "tls.certManager.enabled=true"],
     "tls.existingSecret and tls.certManager.enabled are both set: choose one"),
    (["tls.enabled=true", "tls.certManager.enabled=true"],
     "tls.certManager.enabled needs tls.certManager.issuerRef.name"),
    (["tls.enabled=true", 'tls.existingSecret="s"', "grpcProbe=true"],
     "grpcProbe cannot be used with tls.enabled"),
    (['tls.existingSecret="s"'], "do nothing while tls.enabled is false"),
    (["tls.http=true"], "do nothing while tls.enabled is false"),
    (["tls.enabled=true", 'tls.existingSecret="s"', 'tls.clientSANs=["a"]'],
     "tls.clientSANs needs tls.clientAuth require"),
]


@pytest.mark.parametrize("settings, message", REFUSED, ids=[entry[1][:50] for entry in REFUSED])
def test_refused(helm4: Helm, settings, message):
    err = helm4.fails(*settings)
    assert "These values cannot work:" in err
    assert message in err
    assert "geheim" not in err


def test_helm3_refuses_with_the_same_words(helm: Helm):
    err = helm.fails("tls.enabled=true", "pdb.enabled=true", 'image.tag="latest"')
    assert [line.strip()[:20] for line in err.split("\n") if line.startswith("  - ")] == [
        "- pdb.enabled with r", "- image.tag is lates", "- tls.enabled needs "]


def test_sidecars_need_a_cluster_that_knows_them(helm: Helm):
    code, _, err = helm.try_template("--set=mode=sidecar", "--kube-version=1.28.5")
    assert code != 0
    assert "mode sidecar needs Kubernetes 1.29 or later (native sidecars); this is v1.28.5" in err
    assert helm.try_template("--set=mode=sidecar", "--kube-version=1.29.0")[0] == 0


def test_clusters_that_are_too_old_are_refused(helm: Helm):
    assert "1.27.0-0" in helm.try_template("--kube-version=1.26.9")[2]


# (values, what is warned about)
WARNED = [
    (["replicaCount=3"],
     "memory store with 3 replicas: each counts for itself, so a limit of N lets up to N x 3 pass"),
    (["autoscaling.enabled=true"], "memory store with 10 replicas"),
    (['mode="daemonset"'], "N x the number of pods"),
    (['redis.addresses=["a"]'], "Redis is asked without a password: set redis.existingSecret"),
    (['redis.addresses=["a"]'], "the connection to Redis is not encrypted"),
    (['redis.addresses=["a"]'], "rules without on_store_failure do this: local_share"),
    (['redis.addresses=["a"]', 'settings={"store-failure-default":"deny"}'], "do this: deny"),
    (['redis.addresses=["a"]', 'redis.password="geheim"'],
     "redis.password is stored in plain text"),
    (['mode="daemonset"', 'redis.addresses=["a"]'],
     "a pod that starts while Redis is away denies everything: set settings.replicas"),
    (["redis.dev.enabled=true"], "For development only"),
    (['redis.addresses=["a"]', 'redis.mode="sentinel"', 'redis.sentinelMaster="m"',
      "networkPolicy.enabled=true"],
     "the primaries cannot be reached where their port is none of networkPolicy.redisPorts"),
    (['redis.addresses=["a"]', "redis.tls.enabled=true", "redis.tls.insecureSkipVerify=true"],
     "a Redis with any valid certificate is trusted"),
    ([], "gRPC is not encrypted and asks nobody who they are"),
    ([], "no rules: every request is answered OK"),
    (["autoscaling.enabled=true", "autoscaling.minReplicas=1", "pdb.enabled=true"],
     "a PodDisruptionBudget while autoscaling.minReplicas is 1"),
    (["autoscaling.enabled=true", 'pdb.minAvailable="100%"', "pdb.maxUnavailable=null"],
     "the PodDisruptionBudget lets no pod go, so no node of theirs can be drained"),
    (["replicaCount=3", "pdb.minAvailable=3", "pdb.maxUnavailable=null"], "lets no pod go"),
    (["replicaCount=3", "pdb.maxUnavailable=0"], "lets no pod go"),
    (["replicaCount=3", 'pdb.maxUnavailable="0%"'], "lets no pod go"),
    (["enforcement.shadow=true"], "nothing is denied, denials are only counted"),
    (['server.admin.bind="0.0.0.0"'], "the debug pages ask for no password"),
    (["metrics.prometheusRule.enabled=true"],
     "the cluster does not know monitoring.coreos.com/v1/PrometheusRule"),
]


def notes(helm, *settings):
    """What `helm install` prints at the end. Helm 3 asks a cluster for it, Helm 4 does not."""
    code, out, err = helm.run("install", "weir", CHART, "--namespace=limits", "--dry-run=client",
                              *(f"--set-json={setting}" for setting in settings))
    assert code == 0, err
    return out.partition("NOTES:")[2]


@pytest.mark.parametrize("settings, message", WARNED, ids=[entry[1][:40] for entry in WARNED])
def test_warned(helm4: Helm, settings, message):
    text = notes(helm4, *settings)
    assert message in "\n".join(line for line in text.split("\n") if line.startswith("WARNING: "))
    assert "geheim" not in text


def test_nothing_is_warned_about_without_reason(helm4: Helm):
    text = notes(helm4, 'redis.addresses=["a"]', 'redis.existingSecret="s"',
                 "redis.tls.enabled=true", "tls.enabled=true", 'tls.existingSecret="t"',
                 "replicaCount=3", 'config={"a.yaml":"domain: a"}')
    warnings = [line for line in text.split("\n") if line.startswith("WARNING")]
    assert len(warnings) == 1 and "while Redis does not answer" in warnings[0]


@pytest.mark.parametrize("settings", ['{"replicas":9}', '{"store-failure-default":"allow"}'])
def test_no_share_is_missed_where_it_is_known_or_not_asked_for(helm4: Helm, settings):
    text = notes(helm4, 'mode="sidecar"', 'redis.addresses=["a"]', f"settings={settings}")
    assert "settings.replicas" not in text


@pytest.mark.parametrize("least", ['2', '"50%"'])
def test_a_budget_that_lets_a_pod_go_is_not_warned_about(helm4: Helm, least):
    text = notes(helm4, "replicaCount=3", f"pdb.minAvailable={least}", "pdb.maxUnavailable=null")
    assert "PodDisruptionBudget" not in text


def test_notes_of_each_mode(helm4: Helm):
    text = notes(helm4, 'fullnameOverride="limits"', "server.grpc.port=9000")
    assert "limits.limits.svc:9000" in text
    assert "port-forward service/limits 8080:8080 9000:9000" in text
    assert "address: limits.limits.svc, port_value: 9000" in text
    text = notes(helm4, "tls.enabled=true", 'tls.existingSecret="t"')
    assert "exact: weir.limits.svc" in text
    assert "tls_params" not in text and "CERTIFICATE_FILE" not in text
    text = notes(helm4, "tls.enabled=true", 'tls.existingSecret="t"', 'tls.minVersion="1.3"',
                 'tls.clientAuth="require"')
    # Envoy as a client stops at 1.2 unless told.
    assert "tls_params: {tls_maximum_protocol_version: TLSv1_3}" in text
    assert "certificate_chain: {filename: CERTIFICATE_FILE}" in text
    text = notes(helm4, 'mode="sidecar"')
    assert "get configmap weir-sidecar -o jsonpath='{.data.patch\\.yaml}'" in text
    assert "--patch-file weir.yaml" in text and "port-forward" not in text
    assert notes(helm4, "enabled=false").strip() in ("", "TEST SUITE: None")
