"""Makes status-light.png and status-dark.png: the status page of a Weir that is busy.

    ./dev pictures

Two nodes share a redis-server; callers are drawn by a Zipf law, as in life.
"""

import http.client
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent / "conformance"))

import browser as browsers  # noqa: E402
import cases  # noqa: E402
import program  # noqa: E402

BINARY = FOLDER.parent.parent / "build" / "release" / "weir"
RULES = """domain: shop
descriptors:
  - key: user
    rate_limit: {name: per-user, unit: minute, requests_per_unit: 12000, algorithm: sliding_window}
  - key: api_key
    rate_limit: {name: partners, unit: second, requests_per_unit: 200, algorithm: token_bucket,
                 burst: 400}
  - key: login
    rate_limit: {name: logins, unit: hour, requests_per_unit: 300}
  - key: search
    shadow_mode: true
    rate_limit: {name: search-trial, unit: second, requests_per_unit: 60}
  - key: static
    rate_limit: {unlimited: true}
"""
USERS = ("ada", "grace", "alan", "edsger", "barbara", "donald", "leslie", "john", "ken", "dennis")


def start(folder, redis):
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "shop.yaml").write_text(RULES)
    flags = ("--show-keys=true", f"--redis-url=127.0.0.1:{redis}", "--store-wait=100ms")
    return program.Program(BINARY, folder, cases.Setup(flags=flags))


def load(address, stop, seed):
    draw = random.Random(seed)
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port))
    weights = [1 / (rank + 1) for rank in range(len(USERS))]
    while not stop.is_set():
        key = draw.choices(("user", "api_key", "login", "search"), (60, 25, 5, 10))[0]
        value = draw.choices(USERS, weights)[0]
        body = {"domain": "shop", "descriptors": [{"entries": [{"key": key, "value": value}]}]}
        connection.request("POST", "/json", json.dumps(body))
        connection.getresponse().read()


def main(target):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        port = program.free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--bind",
                                  "127.0.0.1"], stdout=subprocess.DEVNULL)
        nodes = [start(folder / str(i), port) for i in range(2)]
        stop = threading.Event()
        callers = [threading.Thread(target=load, args=(node.addresses["http"], stop, i))
                   for i, node in enumerate(nodes)]
        for caller in callers:
            caller.start()
        file = nodes[0].rules / "shop.yaml"
        for text in (RULES.replace("unit: hour", "unit: fortnight"), RULES.replace("300}", "400}")):
            time.sleep(2)
            file.write_text(text)
        browser = browsers.Browser(folder)
        url = f"http://{nodes[0].addresses['admin']}/"
        # What the page says of rates is then over the seconds since.
        browser.open(url)
        for theme in ("light", "dark"):
            time.sleep(3)
            browser.open(url, width=1000, height=900, theme=theme)
            browser.picture(target / f"status-{theme}.png")
        browser.close()
        stop.set()
        for caller in callers:
            caller.join()
        for node in nodes:
            node.signal("TERM")
            node.wait()
        redis.terminate()
        redis.wait()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
