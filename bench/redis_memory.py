#!/usr/bin/env python3
"""What a record costs Redis: `used_memory` per key, and which sizes its allocator has.

Each server fills itself by Weir's own scripts, one take per key. Redis rounds every string and
every entry of its tables up to a size of its allocator: jemalloc as Debian builds it has sizes of
16, 32, 48, …, as Redis bundles it 8, 16, 24, ….

    bench/redis_memory.py [SERVER …]     default: redis-server
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEYS = (60_000, 100_000, 130_000)
# One take of one hit, limit 100 per hour: the arguments are named in the scripts.
ARGUMENTS = {
    "token_bucket": ["take", 1000, 36 * 10**9, 3600 * 10**9, 1, 36 * 10**9, 0, 1, 0, 0],
    "fixed_window": ["take", 100, 3_600_000_000, 1, 0, 1, 0, 0, 0, 0],
    "sliding_window": ["take", 100, 360_000_000, 10, 1, 0, 1, 0, 0, 0],
}


def resp(*words):
    texts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(t), t) for t in texts)


class Server:
    def __init__(self, program, folder):
        self.cli = ["redis-cli", "-s", f"{folder}/redis.sock"]
        self.process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--save", "",
             "--dir", folder], stdout=subprocess.DEVNULL)
        for _ in range(100):
            if self.say("PING") == "PONG":
                return
            time.sleep(0.05)
        sys.exit(f"{program} does not answer")

    def say(self, *words):
        done = subprocess.run([*self.cli, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def used(self):
        # Tables move to their new size bit by bit; an idle second ends that.
        time.sleep(1.2)
        info = self.say("INFO", "memory")
        return int(next(line for line in info.splitlines()
                        if line.startswith("used_memory:")).split(":")[1])

    def bytes_per_key(self, algorithm, keys):
        self.say("FLUSHALL")
        script = (ROOT / "algorithms" / f"{algorithm}.lua").read_text(encoding="utf-8")
        sha1 = hashlib.sha1(script.encode()).hexdigest()
        self.say("SCRIPT", "LOAD", script)
        before = self.used()
        wire = b"".join(resp("EVALSHA", sha1, 1, f"weir1:{{s{i % 256:03}}}:{i:022}",
                             *ARGUMENTS[algorithm]) for i in range(keys))
        done = subprocess.run([*self.cli, "--pipe"], input=wire, capture_output=True, check=False)
        assert b"errors: 0" in done.stdout, done.stdout
        assert self.say("DBSIZE") == str(keys)
        return (self.used() - before) / keys

    def quantum(self):
        for line in self.say("MEMORY", "MALLOC-STATS").splitlines():
            if "uantum size" in line:
                return line.split(":")[1].strip()
        return "not told"


def main():
    for program in sys.argv[1:] or ["redis-server"]:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(program, folder)
            version = server.say("INFO", "server").split("redis_version:")[1].split()[0]
            print(f"{pathlib.Path(program).name} {version}, allocator quantum {server.quantum()}")
            for algorithm in ARGUMENTS:
                sizes = [f"{server.bytes_per_key(algorithm, keys):.1f}" for keys in KEYS]
                print(f"  {algorithm:16} {', '.join(sizes)} bytes a key at "
                      f"{', '.join(map(str, KEYS))} keys")
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
