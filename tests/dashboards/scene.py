"""A small fleet on its bad day: Weirs that share a Redis which stalls, one alone whose table is
full and whose rules are refused, one whose certificate ends soon and which denies nothing, an Envoy
that loses its Weir, and callers that make mistakes."""

import contextlib
import random
import subprocess
import threading
import time

import cases
import exposition
import grpc
import program

DOMAIN = "shop"
WAIT_SECONDS = 30
CALLS_PER_S = 100
# So few keys that callers fill the table of the instance that is alone.
KEYS_MAX = 64

RULES = f"""domain: {DOMAIN}
descriptors:
  - key: user
    rate_limit: {{unit: second, requests_per_unit: 60, consistency: leased}}
  # What is left of a lease of a fixed window is given back, of a sliding one it expires.
  - key: wide
    rate_limit: {{unit: second, requests_per_unit: 1000, consistency: leased}}
  - key: slide
    rate_limit:
      {{unit: second, requests_per_unit: 1000, algorithm: sliding_window, consistency: leased}}
  - key: exact
    rate_limit: {{unit: hour, requests_per_unit: 1000000, consistency: exact}}
  - key: trial
    shadow_mode: true
    rate_limit: {{unit: second, requests_per_unit: 5, consistency: exact}}
    descriptors:
      - key: plan
        rate_limit: {{unit: second, requests_per_unit: 10, consistency: exact}}
        shadow_mode: true
  - key: each
    rate_limit: {{unit: hour, requests_per_unit: 10, algorithm: token_bucket, consistency: exact}}
"""


class Callers:
    """A thread for each node that calls ShouldRateLimit at a steady pace until stop()."""

    def __init__(self, api, addresses):
        self._api = api
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i, address), daemon=True)
                         for i, address in enumerate(addresses)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def _run(self, seed, address):
        chance = random.Random(seed)
        number = 0
        with grpc.insecure_channel(address) as channel:
            stub = self._api.rls_grpc.RateLimitServiceStub(channel)
            while not self._stopped.wait(1 / CALLS_PER_S):
                number += 1
                # What goes wrong for a caller is part of the scene.
                with contextlib.suppress(grpc.RpcError):
                    stub.ShouldRateLimit(self._request(number, chance), timeout=2)

    def _request(self, number, chance):
        if number % 20 == 0:  # nobody configured that domain
            return self._of("shpo", [("user", "ann")])
        if number % 20 == 5:  # beyond --descriptors-max
            return self._of(DOMAIN, [("user", "ann")] * 40)
        if number % 20 == 10:  # no rule has that key
            return self._of(DOMAIN, [("usr", "ann")])
        if number % 20 == 15:
            request = self._of(DOMAIN, [("trial", "ann", "plan", "free")])
            request.descriptors[0].is_negative_hits = True
            return request
        value = f"v{chance.randrange(10 * KEYS_MAX)}"
        return self._of(DOMAIN, [("user", "ann"), ("wide", "ann"), ("slide", "ann"),
                                 ("exact", "ann"), ("trial", "ann"),
                                 ("trial", "ann", "plan", "free"), ("each", value)])

    def _of(self, domain, pairs):
        request = self._api.rls.RateLimitRequest(domain=domain)
        for pair in pairs:
            entries = request.descriptors.add().entries
            for key, value in zip(pair[::2], pair[1::2]):
                entries.add(key=key, value=value)
        return request


class Visitors:
    """Requests through Envoy until stop()."""

    def __init__(self, envoy):
        self._envoy = envoy
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopped.wait(0.02):
            self._envoy.get("/", user="ann")

    def stop(self):
        self._stopped.set()
        self._thread.join(WAIT_SECONDS)


def start_weir(binary, folder, *flags):
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "shop.yaml").write_text(RULES)
    return program.Program(binary, folder, cases.Setup(flags=flags))


def guards(folder):
    """The flags of an instance with a certificate that ends in three days and with its enforcement
    switched off."""
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem", "-out",
                    folder / "cert.pem", "-days", "3", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)
    (folder / "enforcement.yaml").write_text(f"shadow_domains: [{DOMAIN}]\n")
    return (f"--grpc-tls-cert={folder}/cert.pem", f"--grpc-tls-key={folder}/key.pem",
            f"--enforcement-file={folder}/enforcement.yaml")


def metric(weir, selector):
    return exposition.total(exposition.parse(weir.http("/metrics")[2]), selector)


def wait_for(weir, selector, what, least=1):
    program.poll(lambda: metric(weir, selector) >= least, WAIT_SECONDS, what)


def redis_stalls(redis, weirs, prometheus):
    """Until every node decides without it, and Prometheus knows; then it goes on, and drops all
    connections once."""
    redis.signal("STOP")
    try:
        for weir in weirs:
            wait_for(weir, "weir_degraded", "a node to decide without Redis")
            wait_for(weir, "weir_wait_timeouts_total", "a request to wait for Redis in vain")
        program.poll(lambda: prometheus.query('ALERTS{alertname="WeirRedisDown"}'), WAIT_SECONDS,
                     "an alert about Redis")
    finally:
        redis.signal("CONT")
    for weir in weirs:
        wait_for(weir, 'weir_store_state{state="connected"}', "a node to be connected again")
    redis.call("CLIENT", "KILL", "TYPE", "normal")
    for weir in weirs:
        wait_for(weir, "weir_redis_reconnects_total", "a node to connect again")


def rules_change(weir):
    """To what the others do not have, and then to what is refused."""
    (weir.rules / "shop.yaml").write_text(RULES + "  - key: new\n")
    wait_for(weir, 'weir_config_reloads_total{result="success"}', "the new rules", least=2)
    (weir.rules / "shop.yaml").write_text("domain: shop\ndescriptors: 7\n")
    wait_for(weir, 'weir_config_reloads_total{result="error"}', "bad rules to be refused")


def envoy_loses(weir, envoy):
    def let_pass():
        return envoy.rate_limit_stats().get("failure_mode_allowed", 0)
    before = let_pass()
    weir.signal("STOP")
    try:
        program.poll(lambda: let_pass() > before, WAIT_SECONDS, "Envoy to let a request pass")
    finally:
        weir.signal("CONT")


def scraped_for(prometheus, seconds):
    """Until every target that lives has been scraped for that long from now on."""
    until = time.time() + seconds
    program.poll(lambda: [at for _, at in prometheus.query("min(timestamp(up))") if at > until],
                 WAIT_SECONDS, "Prometheus to scrape")


def bad_day(redis, shared, alone, envoy, prometheus):
    """Twice, because a series that appears with its first failure shows no rate before the next."""
    scraped_for(prometheus, 2)
    rules_change(alone)
    for _ in range(2):
        redis_stalls(redis, shared, prometheus)
        envoy_loses(shared[0], envoy)
        scraped_for(prometheus, 2)


def run(command, addresses, binary):
    """Runs a line of a shell with other addresses, and with this program as weir."""
    for documented, real in addresses.items():
        command = command.replace(documented, real)
    return subprocess.run(["bash", "-c", f'weir() {{ "{binary}" "$@"; }}; {command}'],
                          capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
