"""Monitors, alerts and dashboards: what the chart makes of helm/files and helm/dashboards."""

import json
import subprocess

import yaml

from conftest import CHART, Helm, find, kinds, objects

PROMETHEUS_RULE = "metrics.prometheusRule.enabled=true"


def groups(documents):
    return {group["name"]: group for group in find(documents, "PrometheusRule")["spec"]["groups"]}


def test_without_the_kinds_nothing_is_made_unless_forced(helm: Helm):
    wanted = ["metrics.serviceMonitor.enabled=true", PROMETHEUS_RULE, "tls.enabled=true",
              "tls.certManager.enabled=true", 'tls.certManager.issuerRef={"name":"ca"}']
    made = {"ServiceMonitor", "PrometheusRule", "Certificate"}
    assert not made & set(kinds(helm.objects(*wanted, apis=())))
    assert made <= set(kinds(helm.objects(*wanted, "metrics.forceCRDs=true", apis=())))
    assert made <= set(kinds(helm.objects(*wanted)))


def test_a_monitor_finds_each_pod_once(helm4: Helm):
    documents = objects(helm4.case("production"))
    monitor = find(documents, "ServiceMonitor")["spec"]
    port = monitor["endpoints"][0]["port"]
    scraped = [document for document in documents if document["kind"] == "Service"
               and port in [entry["name"] for entry in document["spec"]["ports"]]
               and monitor["selector"]["matchLabels"].items()
               <= document["metadata"]["labels"].items()]
    assert [document["metadata"]["name"] for document in scraped] == ["weir"]
    assert monitor["sampleLimit"] == 20000 and monitor["labelValueLengthLimit"] == 200


def test_a_pod_monitor_finds_pods_of_every_mode(helm4: Helm):
    pod = find(objects(helm4.case("daemonset")), "DaemonSet")["spec"]["template"]
    monitor = find(objects(helm4.case("daemonset")), "PodMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    documents = objects(helm4.case("sidecar-redis"))
    monitor = find(documents, "PodMonitor")["spec"]
    patch = yaml.safe_load(find(documents, "ConfigMap", "weir-sidecar")["data"]["patch.yaml"])
    pod = patch["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = [entry["name"] for entry in pod["spec"]["initContainers"][0]["ports"]]
    assert monitor["podMetricsEndpoints"][0]["port"] in ports


def test_the_job_contains_weir_whatever_the_release_is_called(helm4: Helm):
    def job(*settings):
        monitor = find(helm4.objects("metrics.podMonitor.enabled=true", *settings), "PodMonitor")
        first = monitor["spec"]["podMetricsEndpoints"][0]["relabelings"][0]
        assert first["targetLabel"] == "job"
        return first["replacement"]
    assert job() == "limits/weir"
    assert job('fullnameOverride="quota"') == "limits/weir-quota"


def test_templates_of_prometheus_survive(helm: Helm):
    one = groups(helm.objects(PROMETHEUS_RULE))["weir-one"]["rules"][0]
    assert one["annotations"]["summary"] == \
        "{{ $labels.instance }} is down, {{ $value | humanize }}"
    assert one["expr"] == 'up{job=~".*weir.*"} == 0' and one["for"] == "3m"


def test_labels_links_and_alerts_left_out(helm: Helm):
    found = groups(objects(helm.case("monitoring")))
    assert set(found) == {"weir-records", "weir-one"}, "a group without alerts is left out"
    assert found["weir-records"]["interval"] == "30s"
    assert "labels" not in found["weir-records"]["rules"][0]
    alert = found["weir-one"]["rules"][0]
    assert alert["labels"] == {"severity": "critical", "team": "edge"}
    assert alert["annotations"]["runbook_url"] == \
        "https://runbooks.example.org/weir/WeirDown.md"
    untouched = groups(helm.objects(PROMETHEUS_RULE))
    assert untouched["weir-two"]["rules"][0]["annotations"]["runbook_url"] == \
        "docs/runbooks/WeirLeaseWaste.md"


def test_every_alert_of_the_repository_arrives_unchanged(helm4: Helm, tmp_path):
    found = groups(helm4.objects(PROMETHEUS_RULE, chart=CHART))
    for path in sorted(CHART.glob("files/*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            assert found.pop(group["name"]) == group
    assert not found
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(find(helm4.objects(PROMETHEUS_RULE, chart=CHART),
                                         "PrometheusRule")["spec"]), encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_dashboards_arrive_unchanged(helm: Helm):
    documents = objects(helm.case("monitoring"))
    dashboard = find(documents, "ConfigMap", "weir-dashboard-weir-overview")
    assert dashboard["metadata"]["namespace"] == "grafana"
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "yes"
    assert dashboard["metadata"]["annotations"]["grafana_folder"] == "Limits"
    panel = json.loads(dashboard["data"]["weir_overview.json"])["panels"][0]
    assert panel["targets"][0]["legendFormat"] == "{{domain}} {{ rule }}"


def test_every_dashboard_of_the_repository_arrives_unchanged(helm4: Helm):
    documents = helm4.objects("metrics.dashboards.enabled=true", chart=CHART)
    found = {name: json.loads(text) for document in documents if document["kind"] == "ConfigMap"
             for name, text in document["data"].items() if name.endswith(".json")}
    assert found == {path.name: json.loads(path.read_text(encoding="utf-8"))
                     for path in CHART.glob("dashboards/*.json")}


def test_a_dashboard_for_the_operator_of_grafana_points_at_its_configmap(helm4: Helm):
    documents = objects(helm4.case("production"))
    dashboard = find(documents, "GrafanaDashboard")["spec"]
    reference = dashboard["configMapRef"]
    assert reference["key"] in find(documents, "ConfigMap", reference["name"])["data"]
    assert dashboard["instanceSelector"] == {"matchLabels": {"dashboards": "grafana"}}
