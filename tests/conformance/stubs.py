"""Python messages and gRPC stubs, generated from the project's proto files."""

import importlib
import sys
import types

import grpc_tools
from grpc_tools import protoc

FILES = (
    "weir/v1/limiter.proto",
    "envoy/service/ratelimit/v3/rls.proto",
    "envoy/extensions/common/ratelimit/v3/ratelimit.proto",
    "envoy/config/core/v3/base.proto",
    "envoy/type/v3/ratelimit_unit.proto",
)


def _protoc(out, files, *includes):
    well_known = next(iter(grpc_tools.__path__)) + "/_proto"
    arguments = ["protoc", f"--python_out={out}", f"--grpc_python_out={out}"]
    arguments += [f"-I{include}" for include in (*includes, well_known)]
    if protoc.main(arguments + list(files)) != 0:
        raise RuntimeError(f"protoc failed on {files}")


def generate(proto, out):
    """The modules of the APIs: .rls, .limiter, .health and their _grpc twins."""
    _protoc(out, FILES, proto)
    # A package named grpc would hide the library's own, so health is generated without folders.
    _protoc(out, ["health.proto"], proto / "grpc" / "health" / "v1")
    sys.path.insert(0, str(out))
    names = {
        "rls": "envoy.service.ratelimit.v3.rls",
        "limiter": "weir.v1.limiter",
        "health": "health",
    }
    api = types.SimpleNamespace()
    for short, name in names.items():
        setattr(api, short, importlib.import_module(f"{name}_pb2"))
        setattr(api, f"{short}_grpc", importlib.import_module(f"{name}_pb2_grpc"))
    return api
