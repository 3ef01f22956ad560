"""Limits counted together with envoyproxy/ratelimit, on its keys (--redis-key-format=ratelimit)."""

import threading
import time

import pytest

import audit
import cases
import exposition
import program

DOMAIN = "shared"
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800,
           "month": 2592000, "year": 31536000}
LIMIT = 40
MANY = 300  # so that everybody gets some of it, however fast the others are
RULES = f"domain: {DOMAIN}\ndescriptors:\n" + "".join(
    f"- key: {unit}\n  rate_limit: {{unit: {unit}, requests_per_unit: {LIMIT}}}\n"
    for unit in SECONDS) + f"""
- key: files
  value: "files/*"
  share_threshold: true
  rate_limit: {{unit: day, requests_per_unit: {LIMIT}}}
- key: tenant
  descriptors:
  - key: op
    value: read
    rate_limit: {{unit: day, requests_per_unit: {LIMIT}}}
- key: many
  rate_limit: {{unit: day, requests_per_unit: {MANY}}}
- key: banned
  rate_limit: {{unit: day, requests_per_unit: 0}}
"""
# Enough for a busy machine: nothing here is about how soon an answer comes.
PATIENT = ("--store-wait=5s", "--store-failure-default=deny")


class Node:
    """A Weir that counts on the keys of the reference."""

    def __init__(self, binary, folder, redis, flags, api):
        self.folder = folder
        self.api = api
        (folder / "rules").mkdir(parents=True)
        self.write(RULES)
        self.program = program.Program(binary, folder, cases.Setup(flags=(
            f"--redis-url={redis.address}", "--redis-key-format=ratelimit", *PATIENT, *flags)))
        self.envoy = api.rls_grpc.RateLimitServiceStub(self.program.channels[0])
        self.limiter = api.limiter_grpc.LimiterStub(self.program.channels[0])

    def write(self, text):
        new = self.folder / "rules" / ".new"
        new.write_text(text)
        new.rename(self.folder / "rules" / "rules.yaml")

    def log(self):
        return self.program.output("stderr")

    def total(self, selector):
        return exposition.total(exposition.parse(self.program.http("/metrics")[2]), selector)

    def wait_connected(self):
        program.poll(lambda: self.total('weir_store_state{state="connected"}') == 1, 30,
                     "the node to be connected to Redis")

    def ask(self, *entries, hits=1):
        """The status of one descriptor, as Envoy is told it."""
        request = self.api.rls.RateLimitRequest(domain=DOMAIN, hits_addend=hits, descriptors=[
            {"entries": [{"key": key, "value": value} for key, value in entries]}])
        return self.envoy.ShouldRateLimit(request, timeout=30).statuses[0]

    def passes(self, *entries, hits=1):
        return self.ask(*entries, hits=hits).code == self.api.rls.RateLimitResponse.OK

    def check(self, method, *entries, hits=1):
        """The answer about one descriptor, of a method of weir.v1."""
        kind = self.api.limiter.ResetRequest if method == "Reset" else self.api.limiter.CheckRequest
        request = kind(domain=DOMAIN, descriptors=[
            {"entries": [{"key": key, "value": value} for key, value in entries], "hits": hits}])
        return getattr(self.limiter, method)(request, timeout=30)

    def store_key(self, *entries):
        """The key of the rule's counter, as an explanation names it."""
        return self.limiter.Explain(self.api.limiter.ExplainRequest(domain=DOMAIN, entries=[
            {"key": key, "value": value} for key, value in entries]), timeout=30).store_key


class Reference:
    """What envoyproxy/ratelimit does to Redis for a descriptor, and what it answers then."""

    def __init__(self, redis, prefix="", jitter_s=300):
        self._connection = redis.connect()
        self._prefix = prefix
        self._expiry_s = jitter_s // 2

    @staticmethod
    def key(unit, *entries, now_s=None, prefix=""):
        window_s = SECONDS[unit]
        start_s = int(time.time() if now_s is None else now_s) // window_s * window_s
        middle = "".join(f"{key}_{value}_" for key, value in entries)
        return f"{prefix}{DOMAIN}_{middle}{start_s}"

    def passes(self, unit, *entries, limit=LIMIT, hits=1):
        key = self.key(unit, *entries, prefix=self._prefix)
        count = self._connection.call("INCRBY", key, hits)
        self._connection.call("EXPIRE", key, SECONDS[unit] + self._expiry_s)
        return count <= limit

    def close(self):
        self._connection.close()


@pytest.fixture
def start_node(binary, tmp_path, api):
    nodes = []

    def start(redis, *flags):
        nodes.append(Node(binary, tmp_path / f"node{len(nodes)}", redis, flags, api))
        nodes[-1].wait_connected()
        return nodes[-1]
    yield start
    for node in nodes:
        print(node.log()[-3000:])  # shown of a test that failed
    for node in nodes:
        node.program.stop()


def within_window(unit, act):
    """Runs act() until a window of the unit did not end meanwhile; gives what it gave."""
    for _ in range(5):
        began = int(time.time()) // SECONDS[unit]
        result = act()
        if int(time.time()) // SECONDS[unit] == began:
            return result
    raise AssertionError(f"every try ran into the next {unit}")


@pytest.mark.parametrize("prefix", ["", "team:"])
def test_keys_counts_and_expiries_are_the_references(prefix, start_redis, start_node):
    redis = start_redis()
    node = start_node(redis, f"--cache-key-prefix={prefix}", "--expiration-jitter-max=100s")
    asked = {  # the rule's unit and the entries of the key -> what is asked
        "files": ("day", [("files", "files/*")], [("files", "files/a.pdf")]),
        "tenant": ("day", [("tenant", "any one"), ("op", "read")], None),
        "empty": ("day", [("day", "")], None),
        **{unit: (unit, [(unit, "v:1")], None) for unit in SECONDS},
    }
    for unit, entries, request in asked.values():
        def act():
            redis.call("FLUSHALL")
            now_s = time.time()
            for _ in range(2):
                assert node.passes(*(request or entries), hits=3)
            [key] = redis.call("KEYS", "*")
            count, ttl = redis.call("GET", key), redis.call("TTL", key)
            return key.decode(), count, ttl, node_key(now_s)

        def node_key(now_s):
            return Reference.key(unit, *entries, now_s=now_s, prefix=prefix)
        key, count, ttl, expected = within_window(unit, act)
        assert key == expected
        assert count == b"6"
        assert SECONDS[unit] - 5 <= ttl < SECONDS[unit] + 100, unit


def test_without_jitter_a_key_lives_as_long_as_its_window(start_redis, start_node):
    redis = start_redis()
    node = start_node(redis, "--expiration-jitter-max=0s")
    assert node.passes(("hour", "v"))
    [key] = redis.call("KEYS", "*")
    assert 3590 <= redis.call("TTL", key) <= 3600


def test_answers_are_the_references(start_redis, start_node, api):
    redis = start_redis()
    node = start_node(redis)
    status = node.ask(("day", "v"), hits=3)
    assert status.limit_remaining == LIMIT - 3
    assert status.current_limit.requests_per_unit == LIMIT
    left_s = 86400 - int(time.time()) % 86400
    assert abs(status.duration_until_reset.seconds - left_s) <= 5
    # The request that crosses the limit is charged in full, as are denials until one is remembered.
    over = node.ask(("day", "v"), hits=LIMIT)
    assert (over.code, over.limit_remaining) == (api.rls.RateLimitResponse.OVER_LIMIT, 0)
    [key] = redis.call("KEYS", "*")
    assert redis.call("GET", key) == str(LIMIT + 3).encode()
    assert not node.passes(("banned", "v"))


@pytest.mark.parametrize("mode,charged", [("first", True), ("over-only", False),
                                          ("never", False)])
def test_what_a_denied_request_costs_its_other_descriptors(mode, charged, start_redis, start_node,
                                                           api):
    redis = start_redis()
    node = start_node(redis, f"--charge-denied={mode}")
    request = api.rls.RateLimitRequest(domain=DOMAIN, hits_addend=2, descriptors=[
        {"entries": [{"key": "month", "value": "a"}]},
        {"entries": [{"key": "banned", "value": "a"}]}])
    response = node.envoy.ShouldRateLimit(request, timeout=30)
    assert response.overall_code == api.rls.RateLimitResponse.OVER_LIMIT
    keys = {"month": Reference.key("month", ("month", "a")),
            "banned": Reference.key("day", ("banned", "a"))}
    counts = {name: int(redis.call("GET", key) or 0) for name, key in keys.items()}
    assert counts == {"month": 2 if charged else 0, "banned": 0 if mode == "never" else 2}


def race(callers, seconds):
    """Each caller calls as fast as it can; gives (start ns, end ns) of what passed, on the wall
    clock, and the number of calls."""
    passed, calls, failed = [], [], []
    end = time.monotonic() + seconds

    def run(caller):
        try:
            while time.monotonic() < end:
                start_ns = time.time_ns()
                allowed = caller()
                calls.append(1)
                if allowed:
                    passed.append(audit.Hit(start_ns, time.time_ns()))
        except Exception as error:  # shown by whoever waits for the thread
            failed.append(error)
    threads = [threading.Thread(target=run, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    return passed, len(calls)


@pytest.mark.parametrize("nodes,references", [(1, 1), (2, 0), (2, 2)])
def test_together_they_admit_one_limit(nodes, references, start_redis, start_node, scale, report):
    redis = start_redis()
    weirs = [start_node(redis) for _ in range(nodes)]
    others = [Reference(redis) for _ in range(references)]
    # A window that does not end: the limit to the hit.
    def long():
        value = f"long{time.time_ns()}"
        admitted = {}

        def count(name, passes):
            allowed = passes()
            admitted[name] = admitted.get(name, 0) + allowed
            return allowed
        def ask_other(reference):
            return reference.passes("day", ("many", value), limit=MANY)
        callers = [lambda n=n, i=i: count(("weir", i), lambda: n.passes(("many", value)))
                   for i, n in enumerate(weirs)]
        callers += [lambda r=r, i=i: count(("other", i), lambda: ask_other(r))
                    for i, r in enumerate(others)]
        passed, calls = race(callers, 2)
        assert calls > 1.5 * MANY, "demand was not above the limit"
        return len(passed), admitted
    total, admitted = within_window("day", long)
    assert total == MANY
    assert len(admitted) == nodes + references and min(admitted.values()) > 0, admitted
    assert all(node.total("weir_store_wait_timeouts_total") == 0 for node in weirs)
    # Windows that end while they race.
    callers = [lambda n=n: n.passes(("second", "short")) for n in weirs]
    callers += [lambda r=r: r.passes("second", ("second", "short")) for r in others]
    seconds = 3.5 * scale
    passed, calls = race(callers, seconds)
    assert calls > 2 * LIMIT * seconds, "demand was not above the limit"
    assert audit.Bound("fixed_window", LIMIT, 1, 0).excess(passed) == 0
    assert len(passed) >= LIMIT * (int(seconds) - 1)
    for other in others:
        other.close()
    report(f"shared_keys[{nodes}+{references}]", f"{len(passed)} of {calls} calls admitted in "
           f"{seconds} s, limit {LIMIT}/s; of one window {admitted}")


def test_operations_of_the_native_api(start_redis, start_node):
    redis = start_redis()
    node = start_node(redis, "--allow-reset")
    other = Reference(redis)
    entries = ("month", "v")
    key = Reference.key("month", entries)

    def count():
        value = redis.call("GET", key)
        return None if value is None else int(value)
    # A refund of what was never charged creates nothing; a look neither.
    node.check("Refund", entries, hits=5)
    assert node.check("Peek", entries, hits=LIMIT).allowed
    assert count() is None
    node.check("Report", entries, hits=LIMIT - 2)
    assert count() == LIMIT - 2
    # A denied check costs nothing, whatever came between.
    assert not node.check("Check", entries, hits=3).allowed
    program.poll(lambda: count() == LIMIT - 2, 10, "the denied hits to be taken back")
    assert other.passes("month", entries, hits=2)
    assert not other.passes("month", entries)
    node.check("Refund", entries, hits=10 * LIMIT)
    assert count() == 0
    assert redis.call("TTL", key) > 0
    node.check("Report", entries, hits=7)
    node.check("Reset", entries, hits=0)
    assert count() is None
    other.close()


def test_it_needs_few_rights_and_leaves_nothing_of_its_own(start_redis, start_node):
    redis = start_redis()
    redis.call("ACL", "SETUSER", "weir", "on", ">pw", "resetkeys", f"~{DOMAIN}_*", "-@all",
               "+incrby", "+expire", "+get", "+del", "+info", "+ping", "+client|setname")
    node = start_node(redis, "--redis-user=weir", "--redis-password=pw", "--allow-reset")
    assert node.passes(("day", "v"))
    assert node.check("Peek", ("day", "v")).allowed
    node.check("Report", ("day", "v"), hits=1)
    node.check("Refund", ("day", "v"), hits=1)
    assert [key for key in redis.call("KEYS", "*") if not key.startswith(b"shared_day_v_")] == []
    commands = redis.info("commandstats")
    assert not [name for name in commands if "eval" in name or "script" in name], commands
    node.check("Reset", ("day", "v"), hits=0)
    assert redis.call("DBSIZE") == 0
    assert node.total("weir_nodes") == 0
    assert node.store_key(("day", "v")) == Reference.key("day", ("day", "v"))


def test_a_counter_that_somebody_spoilt(start_redis, start_node):
    """The policy decides while it holds no number; a reset mends it."""
    redis = start_redis()
    node = start_node(redis, "--allow-reset")
    key = Reference.key("month", ("month", "v"))
    redis.call("SET", key, "garbage")
    assert not node.passes(("month", "v"))
    assert node.passes(("month", "other"))
    node.check("Reset", ("month", "v"), hits=0)
    assert node.passes(("month", "v"))
    redis.call("SET", key, "-5")
    assert not node.passes(("month", "v"), hits=LIMIT + 1)


def test_rules_with_extensions_are_refused_also_while_it_runs(start_redis, start_node):
    redis = start_redis()
    node = start_node(redis)
    assert node.passes(("day", "v"))
    bad = RULES + ("- key: late\n"
                   "  rate_limit: {unit: day, requests_per_unit: 1, algorithm: token_bucket}\n")
    line = bad.count("\n")
    node.write(bad)
    program.poll(lambda: "the rules loaded before stay in force" in node.log(), 30,
                 "the rules to be refused")
    assert ("rules: rules.yaml: key 'algorithm' is not one of envoyproxy/ratelimit, which counts "
            f"these limits too (redis-key-format is ratelimit) ({line}:49): remove it until only "
            "Weir counts, then set redis-key-format to weir") in node.log()
    assert node.passes(("day", "v"))
    node.write(bad.replace(", algorithm: token_bucket", ""))
    program.poll(lambda: not node.passes(("late", "v"), hits=2), 30, "the good rules to be loaded")


def test_redis_away_and_back(start_redis, start_node):
    redis = start_redis()
    node = start_node(redis)
    assert node.passes(("month", "v"))
    redis.kill()
    program.poll(lambda: not node.passes(("month", "v")), 30, "the policy to decide")
    redis.restart()
    program.poll(lambda: node.passes(("month", "v")), 30, "Redis to be counted on again")
    assert int(redis.call("GET", Reference.key("month", ("month", "v")))) >= 1
