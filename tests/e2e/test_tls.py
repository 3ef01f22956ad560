"""Envoy asks Weir over TLS, as documented, each with a certificate of its own."""

import pytest

import bootstrap
import certificates
import exposition
import program
from conftest import port_of
from load import CHANGES, Load

SERVER, CLIENT = "weir.example.com", "spiffe://example.com/envoy"


@pytest.fixture
def authority(tmp_path):
    return certificates.Authority(tmp_path)


@pytest.fixture
def start_both(start_weir, config_for, start_envoy, authority, tmp_path):
    """(Weir, Envoy, Weir's files): with this name of the client."""
    def start(client, *flags):
        files = {name: certificates.Mounted(tmp_path / f"{name}-tls") for name in ("weir", "envoy")}
        files["weir"].put(authority.issue(f"DNS:{SERVER}"), authority)
        files["envoy"].put(authority.issue(f"URI:{client}"), authority)
        mine = files["weir"]
        weir = start_weir(f"--grpc-tls-cert={mine.certificate}", f"--grpc-tls-key={mine.key}",
                          f"--grpc-tls-client-ca={mine.ca}", f"--grpc-tls-client-sans={CLIENT}",
                          "--grpc-tls-min-version=1.3",
                          *flags)
        config = config_for(weir)
        # This is about certificates, not about how busy the machine is.
        config.rate_limit_filter["timeout"] = "10s"
        config.rate_limit_filter["domain"] = "load"
        config.cluster("weir").update(bootstrap.snippet(
            "tls", **{"/etc/envoy/tls": files["envoy"].certificate.parent}))
        return weir, start_envoy(config), mine
    return start


def scraped(weir):
    return exposition.parse(weir.http("/metrics")[2])


def test_both_show_a_certificate(start_both):
    weir, envoy, _ = start_both(CLIENT)
    answer = envoy.get(user="ann")
    assert (answer.status, answer.headers["x-ratelimit-limit"][:9]) == (200, "100000000")
    assert exposition.total(scraped(weir), "weir_tls_clients_refused_total") == 0


def test_another_name_is_refused(start_both):
    weir, envoy, _ = start_both("spiffe://example.com/other")
    assert envoy.get(user="ann").status == 500
    assert envoy.rate_limit_stats() == {"error": 1}
    assert exposition.total(scraped(weir), "weir_tls_clients_refused_total") == 1


def test_rotation_fails_no_request(start_both, authority, report):
    """Connections live for a second, so that each new certificate is met by new ones."""
    weir, envoy, files = start_both(CLIENT, "--grpc-max-connection-age=1s")
    reloads = 'weir_tls_reloads_total{listener="grpc",result="%s"}'

    def connections():
        return envoy.stats()["cluster.weir.upstream_cx_total"]
    with Load(envoy) as load:
        for turn in range(CHANGES):
            files.put(authority.issue(f"DNS:{SERVER}"), authority)
            load.poll(lambda: exposition.total(scraped(weir), reloads % "success") == turn + 1,
                      "the new certificate")
            before = connections()
            load.poll(lambda: connections() > before, "a connection that met it")
    assert exposition.total(scraped(weir), reloads % "failure") == 0
    report("certificate rotation", f"{CHANGES} rotations, {load.text()}")
    load.judge()
