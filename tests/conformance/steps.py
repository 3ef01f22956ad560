"""Runs the steps of one case against a program."""

import dataclasses
import json
import os
import queue
import re
import subprocess
import threading
import time

import grpc

import cases
import exposition
import expect
import messages
import program
import raw_http2

CALL_SECONDS = 30
EVENTUALLY_SECONDS = 30


@dataclasses.dataclass
class Moment:
    """The wall clock just before and just after a call."""
    before: float
    after: float = 0.0


class Mismatch(AssertionError):
    pass


class Runner:
    def __init__(self, case, api, running, binary, folder):
        self._case = case
        self._api = api
        self._running = running
        self._binary = binary
        self._folder = folder
        self._watches = {}
        self._at = ""

    def run(self):
        before = self._scrape() if self._case.server else []
        for number, step in enumerate(self._case.calls, 1):
            for time_of in range(step.get("times", 1)):
                kind = cases.step_kind(step)
                self._at = f"call {number} ({kind}{f', time {time_of + 1}' if time_of else ''})"
                self._step(kind, step, before)
        if self._case.metrics:
            self._at = "metrics"
            self._await_metrics(self._case.metrics, before)

    def _step(self, kind, step, before):
        value = step[kind]
        if kind in cases.METHODS or kind in ("run", "raw"):
            self._ask(kind, step)
        elif kind == "eventually_metrics":
            self._await_metrics(value, before)
        elif kind in ("watch", "watched"):
            self._watch(kind, value)
        elif kind == "log":
            self._eventually(lambda: [f"no {text!r} in the log:\n{self._running.output('stderr')}"
                                      for text in value
                                      if text not in self._running.output("stderr")])
        elif kind == "signal":
            self._running.signal(value)
        elif kind == "exit":
            code = self._running.wait()
            self._check([] if code == value else [f"exit code {code}, expected {value}"])
        else:
            getattr(self, f"_{kind}")(value)

    def _check(self, lines):
        if lines:
            raise Mismatch(f"{self._at}:\n  " + "\n  ".join(lines))

    def _eventually(self, find_differences):
        lines = [""]

        def done():
            lines[:] = find_differences()
            return not lines
        try:
            program.poll(done, EVENTUALLY_SECONDS, self._at)
        except TimeoutError:
            pass
        self._check(lines)

    # ---- calls

    def _ask(self, kind, step):
        if step.get("eventually"):
            self._eventually(lambda: self._ask_once(kind, step))
        else:
            self._check(self._ask_once(kind, step))

    def _ask_once(self, kind, step):
        moment = Moment(time.time())
        ask = {"http": self._http, "run": self._run_command, "raw": self._raw}.get(kind, self._call)
        try:
            answer = ask(kind, step)
        except grpc.RpcError as error:
            answer = {"error": {"code": error.code().name, "message": error.details()}}
        moment.after = time.time()
        if "gives" not in step and "error" not in step:
            raise ValueError(f"{self._at}: what is expected? gives or error is missing")
        wanted = {"error": step["error"]} if "error" in step else step["gives"]
        if "error" in answer and "error" not in step and kind in cases.METHODS:
            return [f"the call failed: {answer['error']}"]
        return expect.differences(wanted, answer, moment)

    def _stub(self, method, listener=0):
        channel = self._running.channels[listener]
        if method == "ShouldRateLimit":
            return self._api.rls_grpc.RateLimitServiceStub(channel), \
                self._api.rls.RateLimitRequest
        request = {"CheckBatch": "CheckBatchRequest", "Reset": "ResetRequest",
                   "Explain": "ExplainRequest"}.get(method, "CheckRequest")
        return self._api.limiter_grpc.LimiterStub(channel), getattr(self._api.limiter, request)

    def _call(self, method, step):
        if method == "reflection":
            return self._list_services()
        if method == "health":
            request = self._api.health.HealthCheckRequest(service=step["health"])
            call = self._api.health_grpc.HealthStub(self._running.channels[0]).Check
        else:
            stub, message_class = self._stub(method, step.get("listener", 0))
            request = messages.parse(messages.request(step[method], self._case.domain),
                                     message_class)
            call = getattr(stub, method)
        # Waits for the connection only: a server that does not answer is found by the deadline.
        answer = call(request, timeout=CALL_SECONDS, wait_for_ready=True)
        return messages.to_dict(answer)

    def _list_services(self):
        """The names in the answer to "list your services", without a reflection library."""
        call = self._running.channels[0].stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        answer = next(iter(call(iter([b"\x3a\x00"]), timeout=CALL_SECONDS)))
        names = re.findall(rb"[a-z][\w.]*\.[A-Z]\w*", answer)
        return {"services": sorted(name.decode() for name in names)}

    def _raw(self, _, step):
        fields = messages.request(step["raw"]["request"], self._case.domain)
        body = messages.parse(fields, self._stub("ShouldRateLimit")[1]).SerializeToString()
        status = raw_http2.call(
            self._running.addresses["grpc"],
            "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", body,
            step["raw"]["headers"], CALL_SECONDS)
        return {"status": status}

    def _http(self, _, step):
        value = step["http"]
        value = {"path": value} if isinstance(value, str) else dict(value)
        if not isinstance(value.get("body", ""), str):
            value["body"] = json.dumps(value["body"])
        status, headers, text = self._running.http(**value)
        answer = {"status": status, "body": text,
                  "headers": {name.lower(): value for name, value in headers.items()},
                  "lines": text.splitlines()}
        wants_json = isinstance(step.get("gives"), dict) and "json" in step["gives"]
        return {**answer, "json": json.loads(text)} if wants_json else answer

    def _run_command(self, _, step):
        arguments = [str(argument) for argument in step["run"]]
        if self._running is not None:
            for name, address in self._running.addresses.items():
                arguments = [a.replace(f"${name.upper()}", address) for a in arguments]
        executable = self._binary
        if self._case.setup.name != "weir":
            executable = os.path.join(self._folder, self._case.setup.name)
            if not os.path.lexists(executable):
                os.symlink(self._binary, executable)
        done = subprocess.run([executable, *arguments], cwd=self._folder, timeout=60,
                              env=program.environment(step.get("env", {})), check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        wants_json = isinstance(step.get("gives"), dict) and "json" in step["gives"]
        return {"exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr,
                "lines": done.stdout.splitlines(),
                **({"json": json.loads(done.stdout)} if wants_json else {})}

    # ---- metrics

    def _scrape(self):
        return exposition.parse(self._running.http("/metrics")[2])

    def _await_metrics(self, deltas, before):
        """Counters are summed over threads without a lock, so they may lag by a moment."""
        def find_differences():
            now = self._scrape()
            lines = []
            for selector, delta in deltas.items():
                grown = exposition.total(now, selector) - exposition.total(before, selector)
                if not (delta.matches(grown, None) if isinstance(delta, expect.Matcher)
                        else grown == delta):
                    lines.append(f"{selector} grew by {grown:g}, expected {delta!r}")
            return lines
        # What must not move gets no time to settle: a wrong move stays.
        self._eventually(find_differences)

    # ---- health streams

    def _watch(self, kind, value):
        (service, expected), = value.items()
        if kind == "watch":
            stub = self._api.health_grpc.HealthStub(self._running.channels[0])
            stream = stub.Watch(self._api.health.HealthCheckRequest(service=service))
            answers = self._watches[service] = queue.Queue()
            threading.Thread(target=_copy_stream, args=(stream, answers), daemon=True).start()
        answer = self._watches[service].get(timeout=EVENTUALLY_SECONDS)
        self._check([] if answer == expected else [f"watched {answer!r}, expected {expected!r}"])

    # ---- changes of the rule files; paths are relative to the rules folder

    def _write(self, files):
        for name, text in files.items():
            path = self._running.rules / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _remove(self, names):
        for name in names:
            (self._running.rules / name).unlink()

    def _rename(self, files):
        """Writes each file beside its place and renames it there, as editors do."""
        for name, text in files.items():
            new = self._running.rules / f".{name}.new"
            new.write_text(text)
            os.replace(new, self._running.rules / name)

    def _move(self, names):
        for old, new in names.items():
            os.rename(self._running.rules / old, self._running.rules / new)

    def _configmap(self, files):
        """Publishes files as a mounted ConfigMap does: links through ..data, swapped at once."""
        rules = self._running.rules
        generation = rules / f"..{time.monotonic_ns()}"
        generation.mkdir()
        for name, text in files.items():
            (generation / name).write_text(text)
        old = os.path.realpath(rules / "..data")
        (rules / "..data_tmp").symlink_to(generation.name)
        os.replace(rules / "..data_tmp", rules / "..data")
        for name in files:
            if not (rules / name).is_symlink():
                (rules / name).symlink_to(f"..data/{name}")
        if old != str(rules / "..data"):
            for path in os.listdir(old):
                os.unlink(os.path.join(old, path))
            os.rmdir(old)


def _copy_stream(stream, answers):
    try:
        for answer in stream:
            answers.put(messages.to_dict(answer)["status"])
        answers.put("OK")
    except grpc.RpcError as error:
        answers.put(error.code().name)
