"""Who may include whom. The table is the order of the folders; the code below only reads it."""

import os
import re

import tree

ALL = ("algorithms", "core", "store", "config", "rpc", "runtime", "metrics", "tls", "grpc", "admin",
       "edge", "operations", "tools", "proto")

# module: the modules it may include besides itself. Arrows point one way:
# algorithms <- core <- store <- {config, rpc} <- {grpc, admin, metrics, edge} <- {tools, main}.
MAY_INCLUDE = {
    "algorithms": (),
    "core": ("algorithms",),
    "runtime": ("algorithms", "core"),
    "store": ("algorithms", "core"),
    "config": ("algorithms", "core", "store"),
    "rpc": ("algorithms", "core", "store", "proto"),
    "metrics": ("algorithms", "core", "store"),
    "tls": ("core",),
    "grpc": ("algorithms", "core", "store", "config", "rpc", "tls", "proto"),
    "edge": ("algorithms", "core", "store", "config", "rpc", "proto"),
    "admin": ("algorithms", "core", "store", "config", "rpc", "tls"),
    "operations": ("algorithms", "core", "store", "config", "metrics"),
    "tools": ALL,
    "main": ALL,
    "tests": ALL + ("bench",),
    "bench": ALL + ("tests",),
}

# library: (start of its include paths, the modules that may include it). tests and bench may
# use every library.
LIBRARIES = {
    "yaml-cpp": (("yaml-cpp/",), {"config"}),
    "protobuf": (("google/protobuf/",), {"rpc", "grpc", "edge", "tools"}),
    "gRPC": (("grpc/", "grpc++/", "grpcpp/"), {"rpc", "grpc", "tools", "main"}),
    "prometheus-cpp": (("prometheus/",), {"metrics", "admin"}),
    "libevent": (("event2/", "event.h", "evhttp.h"), {"admin", "edge", "store/redis", "main"}),
    "hiredis": (("hiredis/",), {"store/redis"}),
    "nghttp2": (("nghttp2/",), {"edge"}),
    "OpenSSL": (("openssl/",), {"config", "edge", "store/redis", "tls", "tools", "main"}),
    "CLI11": (("CLI/",), {"main", "tools"}),
    "spdlog": (("spdlog/",), set(MAY_INCLUDE) - {"algorithms", "core"}),
    "nlohmann-json": (("nlohmann/",), set(MAY_INCLUDE) - {"algorithms", "core", "store"}),
    "Abseil": (("absl/",), set(MAY_INCLUDE) - {"algorithms"}),
}

# Standard and system headers that would bring a clock, a lock, a thread or I/O into a layer
# that has none of its own.
SYSTEM = ("thread", "future", "unistd.h", "pthread.h", "fstream", "iostream", "filesystem",
          "ctime", "time.h", "sys/", "fcntl.h", "signal.h", "csignal", "poll.h", "netinet/")
FORBIDDEN_HEADERS = {
    "algorithms": SYSTEM + ("mutex", "shared_mutex", "condition_variable", "chrono", "atomic",
                            "memory", "cstdio", "stdio.h", "random"),
    "core": SYSTEM,
}

GENERATED = re.compile(r"\.pb\.h$")
STANDARD = re.compile(r"^[a-z_0-9]+$|^(?:std)?[a-z]+\.h$")


def module_of(path):
    """The module a file belongs to: "core", "main", "tests"; None for other files."""
    parts = path.split("/")
    if parts[0] in ("algorithms", "tests", "bench", "proto"):
        return parts[0]
    if parts[0] != "limiter":
        return None
    if len(parts) == 2:
        return "main"
    return parts[1]


def _starts(path, beginnings):
    return any(path == start or (start.endswith("/") and path.startswith(start))
               for start in beginnings)


def _homes(path):
    """The names under which a file may be listed as the home of a library."""
    names = {module_of(path)}
    if path.startswith("limiter/store/redis/"):
        names.add("store/redis")
    return names


def check_include(path, quoted, included, exists):
    """Returns what is wrong with one include of one file, or None.

    exists(path) tells whether the tree has this file.
    """
    module = module_of(path)
    if module is None or module not in MAY_INCLUDE:
        return None
    if GENERATED.search(included) or _starts(included, ("proto/",)):
        if module == "proto" or "proto" in MAY_INCLUDE[module]:
            return None
        return f"{module} may not include the generated {included}"
    target = module_of(included)
    if target is not None and "/" in included:
        if not quoted:
            return f'our own {included} is included with quotes: "{included}"'
        if target == "main" and module != "main":
            return "the files beside limiter/main.cc are included by each other only"
        if target != module and target not in MAY_INCLUDE[module]:
            return f"{module} may not include {included}"
        # A header that CMake writes has its form beside it.
        written = exists(included) or exists(included + ".in")
        return None if written else f"{included} does not exist"
    if quoted and "/" not in included and exists(os.path.join(os.path.dirname(path), included)):
        return f"include {included} by its path from the top of the repository"
    for library, (beginnings, homes) in LIBRARIES.items():
        if _starts(included, beginnings):
            if module in ("tests", "bench") or _homes(path) & homes:
                return None
            return f"{module} may not include {library} ({included})"
    if _starts(included, FORBIDDEN_HEADERS.get(module, ())):
        return f"{module} may not include <{included}>"
    if module == "algorithms" and not STANDARD.match(included):
        return f"algorithms includes the standard library only, not {included}"
    return None


def check_links(path, text):
    """The same order in the link lists of CMake: (line, message) for each wrong weir::name."""
    module = module_of(path)
    if module not in MAY_INCLUDE or module in ("tests", "bench", "main"):
        return
    text = re.sub(r"#[^\n]*", "", text)
    for match in re.finditer(r"\bweir(?:::|_)(\w+)", text):
        target = match.group(1)
        if target in MAY_INCLUDE or target == "proto":
            if target != module and target not in MAY_INCLUDE[module]:
                yield tree.line_of(text, match.start()), f"{module} may not link weir::{target}"


def check(files):
    """files: {path: text}. Returns every violation as "path:line: message"."""
    found = []
    for path, text in files.items():
        if path.endswith((".h", ".cc")):
            for line, quoted, included in tree.includes(text):
                message = check_include(path, quoted, included, files.__contains__)
                if message:
                    found.append(f"{path}:{line}: {message}")
        elif path.endswith("CMakeLists.txt"):
            found += [f"{path}:{line}: {message}" for line, message in check_links(path, text)]
    return found
