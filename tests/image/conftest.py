"""Fixtures of the image suite (`./dev image`): builds the image of Dockerfile with buildah, on a
base that mmdebstrap makes in place of Debian's published one, and unpacks both.

Everything is left in build/image: base.tar, weir.tar (an OCI archive), weir.spdx.json.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = REPOSITORY / "build" / "image"
BASE = "localhost/weir-base"
IMAGE = "localhost/weir"
# Compiles everything where nothing is cached.
BUILD_SECONDS = 3000


def run(*command, check=True, seconds=300, **options):
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=seconds,
                          check=False, **options)
    assert done.returncode == 0 or not check, f"{command}: {done.stdout[-4000:]}"
    return done


class Buildah:
    """buildah with a store of its own, which goes away with the suite."""

    def __init__(self, folder):
        self._store = ["--root", folder / "root", "--runroot", folder / "run",
                       "--storage-driver", "vfs"]
        self._environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}

    def run(self, command, *arguments, **options):
        return run("buildah", *self._store, command, *arguments, env=self._environment, **options)


@pytest.fixture(scope="session")
def version():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(r"^project\(weir VERSION (\S+)", text, re.M)[1]


@pytest.fixture(scope="session")
def revision():
    return run("git", "-C", REPOSITORY, "rev-parse", "--short=12", "HEAD").stdout.strip()


@pytest.fixture(scope="session")
def base():
    """The archive of a minimal Debian 12."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    archive = FOLDER / "base.tar"
    if not archive.exists():
        run("mmdebstrap", "--variant=minbase", "bookworm", FOLDER / "making.tar", seconds=900)
        (FOLDER / "making.tar").rename(archive)
    return archive


def build_base(buildah, base):
    container = buildah.run("from", "scratch").stdout.strip()
    buildah.run("add", container, base, "/")
    buildah.run("commit", "--rm", container, BASE)


@pytest.fixture(scope="session")
def bundle(base, version, revision, tmp_path_factory):
    """The image, unpacked: config.json and rootfs/."""
    buildah = Buildah(tmp_path_factory.mktemp("store"))
    build_base(buildah, base)
    commit_s = run("git", "-C", REPOSITORY, "log", "-1", "--format=%ct").stdout.strip()
    # What this machine compiled before serves the build inside as well.
    cache = run("ccache", "--get-config", "cache_dir").stdout.strip()
    pathlib.Path(cache).mkdir(parents=True, exist_ok=True)
    built = buildah.run(
        "bud", "--pull-never", "--timestamp", commit_s, "--build-arg", f"BASE={BASE}",
        "--build-arg", f"VERSION={version}", "--build-arg", f"REVISION={revision}",
        "--volume", f"{cache}:/ccache", "--tag", IMAGE, REPOSITORY,
        seconds=BUILD_SECONDS)
    (FOLDER / "build.log").write_text(built.stdout)
    archive = FOLDER / "weir.tar"
    archive.unlink(missing_ok=True)
    buildah.run("push", IMAGE, f"oci-archive:{archive}:{version}")
    layout = tmp_path_factory.mktemp("layout")
    with tarfile.open(archive) as tar:
        tar.extractall(layout)
    bundle = tmp_path_factory.mktemp("bundle") / "weir"
    run("umoci", "unpack", "--image", f"{layout}:{version}", bundle)
    yield bundle
    buildah.run("rmi", "--all", "--force")
    shutil.rmtree(bundle)


@pytest.fixture(scope="session")
def rootfs(bundle):
    return bundle / "rootfs"


@pytest.fixture(scope="session")
def image_config(bundle, version):
    """The image's own configuration: Entrypoint, Cmd, User, Labels."""
    del bundle
    with tarfile.open(FOLDER / "weir.tar") as tar:
        def read(digest):
            return json.load(tar.extractfile("blobs/" + digest.replace(":", "/")))

        index = json.load(tar.extractfile("index.json"))
        (entry,) = index["manifests"]
        assert entry["annotations"]["org.opencontainers.image.ref.name"] == version
        return read(read(entry["digest"])["config"]["digest"])["config"]
