"""Several Redis servers as one: a primary under sentinels, and a cluster.

What a test wants to know of them is when one was promoted and which one decides: Watch tells, from
the servers' own words.
"""

import subprocess
import threading
import time

import program
import redis_server
import resp

HOST = "127.0.0.1"
SLOTS = 16384
READY_SECONDS = 30

# A dead primary is noticed this soon.
DOWN_AFTER_MS = 500
NODE_TIMEOUT_MS = 1000

# Replication without the pauses that spare a busy machine.
_REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


def free_ports(count):
    """Different ones: each is asked for while the others are known."""
    found = []
    while len(found) < count:
        port = program.free_port()
        if port not in found:
            found.append(port)
    return found


class Certificates:
    """An authority and one certificate for 127.0.0.1, which servers and clients both show."""

    def __init__(self, folder):
        self.ca, self.cert, self.key = (str(folder / n) for n in ("ca.pem", "cert.pem", "key.pem"))
        ca_key, request, extensions = (str(folder / n) for n in ("ca.key", "req.pem", "ext"))
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self._openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-days", "2",
                      "-subj", "/CN=authority of a test")
        self._openssl("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=redis")
        with open(extensions, "w") as file:
            file.write(f"subjectAltName=IP:{HOST}\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key,
                      "-CAcreateserial", "-out", self.cert, "-days", "2", "-extfile", extensions)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL,
                       capture_output=True)

    def redis_arguments(self):
        """Servers talk TLS to each other too, and take no client without a certificate."""
        return ("--tls-ca-cert-file", self.ca, "--tls-cert-file", self.cert, "--tls-key-file",
                self.key, "--tls-replication", "yes", "--tls-auth-clients", "yes")

    def weir_flags(self):
        return ("--redis-tls=true", f"--redis-tls-ca={self.ca}", f"--redis-tls-cert={self.cert}",
                f"--redis-tls-key={self.key}")


class Watch:
    """Asks servers who they are while the with block runs, each on a connection of its own.

    A script is run by a primary only (a replica gets what it wrote), so the count of EVALSHA says
    who decides. Moments are of CLOCK_MONOTONIC in ns, within EVERY_S of the truth."""

    EVERY_S = 0.01

    def __init__(self, servers):
        self._servers = list(servers)
        self._promoted = {}
        self._decided = {server: [] for server in self._servers}
        self._stop = threading.Event()
        self._asked = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._run, args=(s,)) for s in self._servers]

    def __enter__(self):
        """Returns once each server was asked, so that what follows is seen as a change."""
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            self._asked.acquire()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, server):
        connection = None
        last = (True, None)
        asked = False
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = server.connect(timeout_s=1.0)
                last = self._ask(server, connection, *last)
            except (OSError, resp.Error):
                if connection is not None:
                    connection.close()
                # A server that is promoted or demoted closes its connections.
                connection = None
            if not asked:
                self._asked.release()
                asked = True
            self._stop.wait(self.EVERY_S)
        if connection is not None:
            connection.close()

    def _ask(self, server, connection, was_primary, count):
        """Takes and returns whether it was a primary, and how many scripts it had run."""
        is_primary = connection.call("ROLE")[0] == b"master"
        now_ns = time.monotonic_ns()
        if is_primary and not was_primary:
            self._promoted.setdefault(server, now_ns)
        seen = _calls_of(connection.call("INFO", "commandstats"))
        if count is not None and seen > count:
            self._decided[server].append(time.monotonic_ns())
        return is_primary, seen

    def promoted_ns(self, server):
        """When it called itself a primary for the first time after it had been a replica; None:
        not yet."""
        return self._promoted.get(server)

    def first_decision_ns(self, server):
        return self._decided[server][0]

    def decided_ns(self, server):
        """The moments after which it had run more scripts."""
        return self._decided[server]


def _calls_of(info):
    for line in info.decode().splitlines():
        if line.startswith("cmdstat_evalsha:"):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


class _Servers:
    """What is started is ended by close()."""

    def __init__(self, executable):
        self.executable = executable
        self.started = []

    def start(self, arguments, **options):
        self.started.append(redis_server.Redis(self.executable, arguments, **options))
        return self.started[-1]

    def close(self):
        for server in self.started:
            server.close()


class SentinelGroup(_Servers):
    """One primary with replicas, watched by sentinels."""

    NAME = "group"

    def __init__(self, executable, replicas=2, sentinels=3, password="", sentinel_password="",
                 certificates=None):
        super().__init__(executable)
        self._tls = certificates.redis_arguments() if certificates is not None else ()
        login = (password,) if password else ()
        own = [*_REPLICATION, *self._tls]
        if password:
            own += ["--requirepass", password, "--masterauth", password]
        common = {"login": login, "tls": bool(self._tls)}
        try:
            self.data = [self.start(own, **common)]
            for _ in range(replicas):
                self.data.append(self.start(
                    [*own, "--replicaof", f"{HOST} {self.data[0].port}"], **common))
            # A sentinel learns of replicas from the primary, by default every 10 s only.
            program.poll(lambda: self.data[0].info("replication").get("connected_slaves") ==
                         str(replicas), READY_SECONDS, "the replicas to be connected")
            program.poll(lambda: all(r.info("replication")["master_link_status"] == "up"
                                     for r in self.data[1:]), READY_SECONDS, "replicas in sync")
            self.sentinels = [self._sentinel(sentinels // 2 + 1, password, sentinel_password)
                              for _ in range(sentinels)]
            program.poll(self.ready, READY_SECONDS, "the sentinels to know each other")
        except BaseException:
            self.close()
            raise

    def _sentinel(self, quorum, password, sentinel_password):
        lines = [f"sentinel monitor {self.NAME} {HOST} {self.data[0].port} {quorum}",
                 f"sentinel down-after-milliseconds {self.NAME} {DOWN_AFTER_MS}",
                 f"sentinel failover-timeout {self.NAME} 5000"]
        if password:
            lines.append(f"sentinel auth-pass {self.NAME} {password}")
        if sentinel_password:
            lines += [f"requirepass {sentinel_password}",
                      f"sentinel sentinel-pass {sentinel_password}"]
        login = (sentinel_password,) if sentinel_password else ()
        return self.start(["--sentinel", *self._tls], config="\n".join(lines) + "\n", login=login,
                          tls=bool(self._tls))

    def ready(self):
        """All sentinels know all servers, and could fail over at once."""
        for sentinel in self.sentinels:
            flat = sentinel.call("SENTINEL", "MASTER", self.NAME)
            fields = dict(zip(flat[::2], flat[1::2]))
            if (int(fields[b"num-other-sentinels"]) != len(self.sentinels) - 1 or
                    int(fields[b"num-slaves"]) != len(self.data) - 1 or
                    fields[b"flags"] != b"master"):
                return False
            replicas = [dict(zip(r[::2], r[1::2]))
                        for r in sentinel.call("SENTINEL", "REPLICAS", self.NAME)]
            # Without these a failover would be refused: NOGOODSLAVE.
            if any(r[b"flags"] != b"slave" or r[b"master-link-status"] != b"ok" for r in replicas):
                return False
        return True

    @property
    def url(self):
        return ",".join([self.NAME, *(s.address for s in self.sentinels)])

    def named(self, sentinel):
        """The server that a sentinel calls the primary."""
        _, port = sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
        return next(s for s in self.data if s.port == int(port))

    def primary(self):
        """What the first sentinel calls so."""
        return self.named(self.sentinels[0])

    def promoted(self, watch):
        """The server that is the primary now and was not when the watch began; None: there is
        none."""
        return next((s for s in self.data if watch.promoted_ns(s) is not None), None)

    def order_failover(self):
        self.sentinels[0].call("SENTINEL", "FAILOVER", self.NAME)


def slot_of(key):
    """The slot of a key, by its hash tag if it has one."""
    data = key if isinstance(key, bytes) else key.encode()
    begin = data.find(b"{")
    end = data.find(b"}", begin + 1)
    if begin >= 0 and end > begin + 1:
        data = data[begin + 1:end]
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc % SLOTS


class Cluster(_Servers):
    """Three masters that share all slots, a replica of each, and an empty master."""

    MASTERS = 3

    def __init__(self, executable, full_coverage=False):
        super().__init__(executable)
        self._full_coverage = full_coverage
        try:
            self.nodes = [self._node() for _ in range(2 * self.MASTERS + 1)]
            self._ids = {n: n.call("CLUSTER", "MYID").decode() for n in self.nodes}
            self._join()
        except BaseException:
            self.close()
            raise

    def _node(self):
        # The port of the bus would else be 10,000 above, which may not exist.
        bus = program.free_port()
        node = self.start([
            "--cluster-enabled", "yes", "--cluster-port", str(bus),
            "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
            "--cluster-require-full-coverage", "yes" if self._full_coverage else "no",
            # The replicas stay where they are, whoever loses its own.
            "--cluster-allow-replica-migration", "no", *_REPLICATION])
        node.bus = bus
        return node

    def _join(self):
        masters, self.empty = self.nodes[:self.MASTERS], self.nodes[-1]
        for i, node in enumerate(self.nodes):
            node.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for i, node in enumerate(masters):
            node.call("CLUSTER", "ADDSLOTSRANGE", i * SLOTS // self.MASTERS,
                      (i + 1) * SLOTS // self.MASTERS - 1)
        for node in self.nodes[1:]:
            node.call("CLUSTER", "MEET", HOST, self.nodes[0].port, self.nodes[0].bus)
        program.poll(lambda: all(len(self._lines(n)) == len(self.nodes) for n in self.nodes),
                     READY_SECONDS, "the nodes to know each other")
        for master, replica in zip(masters, self.nodes[self.MASTERS:]):
            replica.call("CLUSTER", "REPLICATE", self._ids[master])
        program.poll(self.healthy, READY_SECONDS, "a healthy cluster")

    @staticmethod
    def _lines(node):
        return [line.split() for line in node.call("CLUSTER", "NODES").decode().splitlines()]

    def healthy(self):
        """Every node sees all slots served, all nodes alive, and each master with its replica."""
        for node in self.nodes:
            if not node.answers():
                return False
            lines = self._lines(node)
            if (b"cluster_state:ok" not in node.call("CLUSTER", "INFO") or
                    any("fail" in f for line in lines for f in line[2].split(",")) or
                    sum("slave" in line[2] for line in lines) != self.MASTERS):
                return False
        return all(n.info("replication")["master_link_status"] == "up" for n in self.replicas())

    def replicas(self):
        return [n for n in self.nodes if n.answers() and n.call("ROLE")[0] == b"slave"]

    def masters(self):
        """Those that serve slots."""
        found = []
        for first, _, (_, port, *_), *_ in self._slots():
            node = self.at(port)
            if node not in found:
                found.append(node)
        return found

    def _slots(self):
        # Replicas hear of a change last.
        master = next(n for n in self.nodes if n.answers() and n.call("ROLE")[0] == b"master")
        return master.call("CLUSTER", "SLOTS")

    def at(self, port):
        return next(n for n in self.nodes if n.port == port)

    def owner(self, slot):
        """The master of a slot."""
        return next(self.at(of[1]) for first, last, of, *_ in self._slots()
                    if first <= slot <= last)

    def replica_of(self, master):
        return next(n for n in self.replicas() if n.call("ROLE")[2] == master.port)

    # ---- a slot moves, as the specification of Redis Cluster has it

    def begin_move(self, slot, target):
        """Returns where it comes from; until end_move each key is at one of both."""
        source = self.owner(slot)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self._ids[source])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self._ids[target])
        return source

    def move_keys(self, slot, source, target, pause_s=0.0):
        """How many keys moved, one after the other."""
        moved = 0
        with source.connect() as connection:
            while keys := connection.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
                for key in keys:
                    # NOKEY: it expired meanwhile.
                    moved += connection.call("MIGRATE", HOST, target.port, key, 0, 5000) == b"OK"
                    time.sleep(pause_s)
        return moved

    def end_move(self, slot, target):
        """The new owner hears of it first: it must not refuse what the old one sends on."""
        rest = [n for n in self.nodes if n is not target and n.call("ROLE")[0] == b"master"]
        for node in [target, *rest]:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", self._ids[target])

    def move(self, slot, target):
        """All of it."""
        self.move_keys(slot, self.begin_move(slot, target), target)
        self.end_move(slot, target)

    def order_failover(self, replica):
        replica.call("CLUSTER", "FAILOVER")
