"""What a test needs of the machine it runs on."""

import os
import shutil

import pytest


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
