"""Headless Chromium, driven over pipes with the DevTools protocol: no package beside Debian's."""

import base64
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import time

PROGRAM = "chromium"
# Generous: the machine is busy.
ANSWER_SECONDS = 60
# It must not ask anybody for anything: every name but the loopback address fails.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")


def installed():
    return shutil.which(PROGRAM) is not None


class Browser:
    """One browser with one page. Everything that the page asked for or complained of is kept."""

    def __init__(self, folder):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def hand_over():
            # Moved away first: one of them may have the number of the other's place.
            pair = os.dup(to_browser), os.dup(from_browser)
            os.dup2(pair[0], 3)
            os.dup2(pair[1], 4)

        self._log = open(pathlib.Path(folder) / "chromium.log", "wb")
        self._process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [PROGRAM, *FLAGS, f"--user-data-dir={folder}/profile"], stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log, preexec_fn=hand_over, close_fds=False,
            start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session = None
        self.requests = []
        self.complaints = []
        self._loaded = False
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target,
                                   flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def close(self):
        os.killpg(self._process.pid, signal.SIGKILL)  # its helpers are of its session
        self._process.wait(ANSWER_SECONDS)
        os.close(self._write)
        os.close(self._read)
        self._log.close()

    def _message(self, deadline):
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError("the browser did not answer")
            received = os.read(self._read, 1 << 20)
            if not received:
                raise RuntimeError("the browser ended")
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event):
        name, params = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif name == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif name == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {params['message']}")
        elif name == "Page.loadEventFired":
            self._loaded = True

    def _call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def open(self, url, width=1100, height=900, theme="light"):
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=width < 600)
        self._call("Emulation.setEmulatedMedia",
                   features=[{"name": "prefers-color-scheme", "value": theme}])
        self.requests, self.complaints, self._loaded = [], [], False
        self._call("Page.navigate", url=url)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._loaded:
            self._note(self._message(deadline))

    def evaluate(self, expression):
        """The value of a JavaScript expression, run beside the page's policy."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def picture(self, path):
        data = self._call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
