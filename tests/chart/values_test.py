"""What single values do, and the schema of all of them."""

import json
import subprocess
import sys

import pytest
import yaml

from conftest import (CHART, ROOT, Helm, environment, find, kinds, objects, weir_container)

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def test_readme_and_schema_are_written_from_the_comments():
    done = subprocess.run([sys.executable, CHART / "docs.py", "--check"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + "run helm/docs.py"


def keys(node, values, path=""):
    """Yields what only the schema or only values.yaml has."""
    described = node.get("properties", {})
    if node.get("additionalProperties") is False:
        for name in set(described) ^ set(values):
            yield f"{path}{name}"
    for name, below in described.items():
        if name in values and name != "issuerRef":
            yield from keys(below, values[name], f"{path}{name}.")


def test_schema_and_values_have_the_same_keys():
    assert not list(keys(SCHEMA, VALUES))
    assert SCHEMA["additionalProperties"] is False


# (value as NAME=JSON, a word of the schema's message)
MISFITS = [
    ('replicas=3', "replicas"), ('mode="statefulset"', "mode"), ('image.taag="1"', "taag"),
    ('replicaCount="3"', "replicaCount"), ('server.grpc.port=70000', "port"),
    ('redis.adresses=["a"]', "adresses"), ('config={"rules.txt":"a"}', "rules.txt"),
    ('extraEnv=[{"value":"a"}]', "name"), ('settings={"Lease":"a"}', "Lease"),
    ('image.digest="sha256:12"', "digest"), ('tls.clientAuth="maybe"', "clientAuth"),
    ('metrics.serviceMonitor.interval="often"', "interval"), ('pdb.enabled="no"', "enabled"),
    ('podLabels={"a":1}', "a"),
]


@pytest.mark.parametrize("setting, word", MISFITS, ids=[entry[0] for entry in MISFITS])
def test_the_schema_refuses(helm: Helm, setting, word):
    message = helm.fails(setting)
    assert "values don't meet the specifications of the schema" in message
    assert word in message


@pytest.mark.parametrize("setting", [
    'podSecurityContext={"seLinuxOptions":{"level":"s0"}}',
    'securityContext={"procMount":"Default"}',
    'resources={"claims":[{"name":"a"}]}', 'global={"anything":{"of":"others"}}',
    'affinity={"nodeAffinity":{}}', 'livenessProbe={"exec":{"command":["true"]}}'])
def test_the_schema_is_open_for_what_kubernetes_knows(helm: Helm, setting):
    assert helm.objects(setting)


def test_helm_create_names():
    """The names that `helm create` generates are ours as well."""
    assert {"replicaCount", "image", "imagePullSecrets", "nameOverride", "fullnameOverride",
            "serviceAccount", "podAnnotations", "podLabels", "podSecurityContext",
            "securityContext", "service", "resources", "livenessProbe", "readinessProbe",
            "autoscaling", "nodeSelector", "tolerations", "affinity"} <= set(VALUES)


def test_objects_of_each_mode(helm: Helm):
    assert kinds(helm.objects()) == ["ConfigMap", "ConfigMap", "Deployment", "Pod", "Service",
                                     "ServiceAccount"]
    documents = helm.objects('mode="daemonset"')
    assert kinds(documents) == ["ConfigMap", "ConfigMap", "DaemonSet", "Pod", "Service",
                                "ServiceAccount"]
    assert find(documents, "Service")["spec"]["internalTrafficPolicy"] == "Local"
    assert kinds(helm.objects('mode="sidecar"')) == ["ConfigMap", "ConfigMap", "ConfigMap", "Pod"]


def test_all_modes_run_the_same_container(helm4: Helm):
    """Beside port names, restartPolicy, socket and security context there is one template."""
    own = {"name", "restartPolicy", "ports", "startupProbe", "livenessProbe", "readinessProbe",
           "securityContext", "volumeMounts", "env"}
    seen = []
    for mode in ("deployment", "daemonset", "sidecar"):
        container = weir_container(helm4.objects(f'mode="{mode}"'))
        seen.append({key: value for key, value in container.items() if key not in own})
    assert seen[0] == seen[1] == seen[2]


def test_image(helm4: Helm):
    def image(*settings):
        return weir_container(helm4.objects(*settings))["image"]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    assert image() == f"weir:{version}"
    assert image('image.tag="2"', 'image.registry="r"', 'image.repository="a/b"') == "r/a/b:2"
    assert image('global={"imageRegistry":"g"}') == f"g/weir:{version}"
    digest = "sha256:" + "0" * 64
    assert image(f'image.digest="{digest}"', 'image.tag="2"') == f"weir@{digest}"


def test_the_chart_is_of_the_version_of_the_program():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"project(weir VERSION {chart['appVersion']} " in cmake
    assert f"image: weir:{chart['appVersion']}" in chart["annotations"]["artifacthub.io/images"]


def test_extra_env_overrides_by_name(helm: Helm):
    env = weir_container(objects(helm.case("extras")))["env"]
    entries = {entry["name"]: entry for entry in env}
    assert entries["WEIR_LOG_LEVEL"]["value"] == "debug"
    assert entries["WEIR_EXTRA_TAGS"]["value"] == "region:south"
    assert entries["NODE_NAME"] == {
        "name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    # An override may also take its value from elsewhere; then nothing is left of ours.
    secret = '{"name":"WEIR_STORE","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}'
    env = weir_container(helm.objects(f"extraEnv=[{secret}]"))["env"]
    assert [entry for entry in env if entry["name"] == "WEIR_STORE"] == [json.loads(secret)]


def test_extra_env_becomes_text(helm: Helm):
    """The API server takes no number, and refuses the Deployment when the rest is installed."""
    given = '[{"name":"A","value":12345678},{"name":"B","value":false},{"name":"C","value":"x"},' \
            '{"name":"D"}]'
    env = environment(weir_container(helm.objects(f"extraEnv={given}")))
    assert [env[name] for name in "ABCD"] == ["12345678", "false", "x", None]


def test_settings_become_variables_as_they_were_written(helm: Helm):
    given = '{"keys-max":12345678,"reflection":false,"near-limit-ratio":0.5,"replicas":0}'
    env = environment(weir_container(helm.objects(
        f"settings={given}", 'redis.addresses=["a"]', "replicaCount=2")))
    assert env["WEIR_KEYS_MAX"] == "12345678"
    assert env["WEIR_REFLECTION"] == "false"
    assert env["WEIR_NEAR_LIMIT_RATIO"] == "0.5"
    assert env["WEIR_REPLICAS"] == "0"


def test_extra_volumes_and_mounts_are_merged(helm4: Helm):
    documents = objects(helm4.case("extras"))
    spec = find(documents, "Deployment")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert "projected" in volumes["weir-rules"] and "configMap" not in volumes["weir-rules"]
    mounts = {mount["mountPath"]: mount["name"]
              for mount in weir_container(documents)["volumeMounts"]}
    assert mounts["/etc/weir/enforcement"] == "scratch"
    assert mounts["/etc/weir/rules"] == "weir-rules"


def test_a_null_user_is_left_to_the_platform(helm: Helm):
    spec = find(objects(helm.case("openshift")), "Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True,
                                       "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["imagePullSecrets"] == [{"name": "own"}, {"name": "team"}]


def test_probes(helm: Helm):
    container = weir_container(helm.objects())
    http = {"port": "http", "scheme": "HTTP"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", **http}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", **http}
    assert container["startupProbe"]["failureThreshold"] >= 60
    container = weir_container(objects(helm.case("probes")))
    assert "livenessProbe" not in container
    assert container["readinessProbe"]["grpc"] == {"port": 18081}
    assert container["startupProbe"] == {"tcpSocket": {"port": "grpc"}, "failureThreshold": 30}


def test_tls_on_the_http_port_reaches_probes_and_prometheus(helm4: Helm):
    documents = objects(helm4.case("production"))
    container = weir_container(documents)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    endpoint = find(documents, "ServiceMonitor")["spec"]["endpoints"][0]
    assert endpoint["scheme"] == "https"
    names = find(documents, "Certificate")["spec"]["dnsNames"]
    assert endpoint["tlsConfig"]["serverName"] in names
    assert endpoint["tlsConfig"]["ca"]["secret"]["name"] == \
        find(documents, "Certificate")["spec"]["secretName"]


def test_helm_test_speaks_as_the_listener_does(helm4: Helm):
    def arguments(case):
        check = find(objects(helm4.case(case)), "Pod", "weir-test")["spec"]["containers"][0]
        return [argument.partition("=")[0] for argument in check["args"]
                if argument.startswith("--tls")]
    assert arguments("default") == []
    assert arguments("tls-secret") == ["--tls", "--tls-ca"]
    assert arguments("production") == ["--tls", "--tls-ca", "--tls-cert", "--tls-key"]
    assert arguments("sidecar-redis") == [], "the Unix socket is not TLS"


def test_draining_fits_into_the_grace_period(helm: Helm):
    def grace(*settings):
        documents = helm.objects(*settings)
        env = environment(weir_container(documents))
        spec = find(documents, "Deployment")["spec"]["template"]["spec"]
        return env["WEIR_DRAIN_DELAY"], env["WEIR_DRAIN_MAX"], spec["terminationGracePeriodSeconds"]
    assert grace() == ("5s", "10s", 20)
    assert grace("drain.delaySeconds=20", "drain.maxSeconds=40") == ("20s", "40s", 65)
    assert grace("drain.delaySeconds=0", "terminationGracePeriodSeconds=10") == ("0s", "10s", 10)
    sidecar = environment(weir_container(helm.objects('mode="sidecar"')))
    assert sidecar["WEIR_DRAIN_DELAY"] == "0s"


def test_a_budget_wherever_there_are_several(helm: Helm):
    assert "PodDisruptionBudget" not in kinds(helm.objects())
    assert "PodDisruptionBudget" not in kinds(helm.objects("replicaCount=2", "pdb.enabled=false"))
    budget = find(helm.objects("replicaCount=2"), "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1 and "minAvailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert "PodDisruptionBudget" in kinds(helm.objects("autoscaling.enabled=true"))


def test_an_autoscaler_owns_the_replicas(helm: Helm):
    documents = helm.objects("autoscaling.enabled=true", 'redis.addresses=["a"]')
    assert "replicas" not in find(documents, "Deployment")["spec"]
    assert environment(weir_container(documents))["WEIR_REPLICAS"] == "10"


def test_redis_forms(helm4: Helm):
    def redis(case):
        env = environment(weir_container(objects(helm4.case(case))))
        return env["WEIR_REDIS_TYPE"], env["WEIR_REDIS_URL"]
    assert redis("production") == ("sentinel", "limits,sentinel-0.data.svc:26379,"
                                   "sentinel-1.data.svc:26379,sentinel-2.data.svc:26379")
    assert redis("redis-cluster") == ("cluster",
                                      "redis-0.redis.data.svc,redis-1.redis.data.svc:7000")
    assert redis("redis-dev") == ("single", "weir-redis:6379")
    assert redis("sidecar-redis") == ("single", "[fd00::17]:6380")


def test_a_plain_password_is_mounted_like_any_other(helm: Helm):
    documents = objects(helm.case("password"))
    assert find(documents, "Secret")["data"] == {"redis-password": "cEBzczogJ3dvcmQn"}
    assert environment(weir_container(documents))["WEIR_REDIS_PASSWORD_FILE"] == \
        "/etc/weir/redis/password"


def test_rules_take_templates_and_yaml(helm: Helm):
    data = find(objects(helm.case("production")), "ConfigMap", "weir-rules")["data"]
    assert yaml.safe_load(data["release.yaml"])["domain"] == "limits"
    assert yaml.safe_load(data["shop.yaml"])["descriptors"][0]["key"] == "user"


def test_a_changed_rule_restarts_pods_only_if_asked(helm4: Helm):
    def template(*settings):
        return find(helm4.objects(*settings), "Deployment")["spec"]["template"]
    one, two = 'config={"a.yaml":"domain: a"}', 'config={"a.yaml":"domain: b"}'
    assert template(one) == template(two)
    asked = "configChecksumAnnotation=true"
    assert template(one, asked) != template(two, asked)


def test_enforcement(helm: Helm):
    def enforcement(*settings):
        data = find(helm.objects(*settings), "ConfigMap", "weir-enforcement")["data"]
        return yaml.safe_load(data["enforcement.yaml"])
    assert enforcement() == {"shadow": False, "shadow_domains": []}
    assert enforcement("enforcement.shadow=true", 'enforcement.shadowDomains=["a: b","c"]') == {
        "shadow": True, "shadow_domains": ["a: b", "c"]}


def test_network_policy_of_sentinels_opens_the_primaries_port(helm4: Helm):
    policy = find(objects(helm4.case("production")), "NetworkPolicy")["spec"]
    assert [port["port"] for port in policy["egress"][1]["ports"]] == [26379, 6379]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    # The port that the program takes where an address has none.
    documents = helm4.objects("networkPolicy.enabled=true", 'redis.addresses=["a","b:1"]',
                              'redis.mode="sentinel"', 'redis.sentinelMaster="m"')
    assert find(documents, "NetworkPolicy")["spec"]["egress"][1]["ports"] == [
        {"port": 26379, "protocol": "TCP"}, {"port": 1, "protocol": "TCP"}]
    documents = objects(helm4.case("redis-dev"))
    egress = find(documents, "NetworkPolicy")["spec"]["egress"][1]
    assert egress["to"][0]["podSelector"]["matchLabels"] == \
        find(documents, "Service", "weir-redis")["spec"]["selector"]


def test_long_names_stay_names(helm: Helm):
    for document in helm.objects('mode="sidecar"', f'fullnameOverride="{"a" * 63}"'):
        assert len(document["metadata"]["name"]) <= 63
    for document in helm.objects("redis.dev.enabled=true", release="r" * 53):
        assert len(document["metadata"]["name"]) <= 63


@pytest.mark.parametrize("length", (38, 44, 47, 48, 50, 63))
def test_no_two_objects_have_one_name(helm4: Helm, length):
    documents = helm4.objects("metrics.dashboards.enabled=true", "redis.dev.enabled=true",
                              "tls.enabled=true", "tls.certManager.enabled=true",
                              'tls.certManager.issuerRef={"name":"ca"}',
                              f'fullnameOverride="{"a" * length}"', chart=CHART)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)
