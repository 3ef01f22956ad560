"""Fixtures of the suite of dashboards and alerts.

WEIR_BINARY names the program (default: the release build), WEIR_ENVOY an Envoy (default: the one of
.venv-envoy).
"""

import os
import pathlib
import shutil
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent.parent
# Starting Weir, Redis and Envoy is shared with the other black-box suites.
for suite in ("conformance", "integration", "e2e"):
    sys.path.append(str(FOLDER.parent / suite))

import mixin  # noqa: E402


def missing(what):
    """A skip that is seen; where everything must be installed, a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def tool(name, package):
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed: apt-get install {package}")
    return found


@pytest.fixture(scope="session")
def jsonnet():
    return tool("jsonnet", "jsonnet")


@pytest.fixture(scope="session")
def promtool():
    tool("promtool", "prometheus")
    return mixin.promtool
