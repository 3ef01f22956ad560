"""Requests through Envoy without a pause."""

import collections
import http.client
import threading

import program
import proxy

CLIENTS = 3
SECONDS = 30


class Load:
    """Clients that ask without a pause until they are told to end."""

    def __init__(self, port):
        self._port = port
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.outcomes = collections.Counter()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        while not self._end.is_set():
            try:
                answer = proxy.get(self._port, connection=connection)
                # The header proves that a Weir was asked.
                outcome = (answer.status, answer.headers.get("x-ratelimit-limit"))
            except Exception as error:  # counted, and the test fails on it
                outcome = repr(error)
                connection.close()
            with self._lock:
                self.outcomes[outcome] += 1
        connection.close()

    @property
    def total(self):
        with self._lock:
            return sum(self.outcomes.values())

    def poll(self, done, what):
        """Waits until done() while requests keep being answered, a hundred at least."""
        before = self.total
        program.poll(lambda: done() and self.total >= before + 100, SECONDS, what)
