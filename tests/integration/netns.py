"""A network namespace of a test's own, in which packets can be dropped without a word.

It ends with this process: nothing is named, so nothing can be left behind.
"""

import ctypes
import os
import shutil
import subprocess
import threading

_CLONE_NEWNET = 0x40000000
_TOOLS = ("unshare", "nsenter", "ip", "nft")


def why_not():
    """What keeps this process from making a namespace with packet filters; None: nothing."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && nft add table ip weir_probe"],
        capture_output=True, text=True, check=False)
    return tried.stderr.strip() or "not permitted" if tried.returncode != 0 else None


class Namespace:
    """Loopback only. `prefix` runs a command inside it, with the command's own process id."""

    def __init__(self):
        # Holds the namespace open until its standard input ends: with us, at the latest.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._holder.stdout.readline() != b"up\n":
            self.close()
            raise RuntimeError("no network namespace")
        self._path = f"/proc/{self._holder.pid}/ns/net"
        self.prefix = [shutil.which("nsenter"), f"--net={self._path}", "--"]
        self._nft("add table ip weir",
                  "add chain ip weir in { type filter hook input priority 0; }")

    def close(self):
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()

    def drop(self, address, port):
        """Drops all packets to and from this address and port, silently."""
        self._nft(f"add rule ip weir in ip daddr {address} tcp dport {port} drop",
                  f"add rule ip weir in ip saddr {address} tcp sport {port} drop")

    def drop_nothing(self):
        self._nft("flush chain ip weir in")

    def call(self, function):
        """Runs function() on a thread inside the namespace: sockets it makes belong there."""
        outcome = {}

        def run():
            try:
                _enter(self._path)
                outcome["value"] = function()
            except BaseException as error:  # raised again in the caller's thread
                outcome["error"] = error
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def _nft(self, *commands):
        subprocess.run([*self.prefix, "nft", "-f", "-"], input="\n".join(commands) + "\n",
                       text=True, check=True)


def _enter(path):
    """Moves the calling thread only."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(namespace, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(namespace)
