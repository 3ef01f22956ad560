"""The image of Dockerfile: what is in it, how large it is, and that it runs as it will be run."""

import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tarfile

from conftest import FOLDER, REPOSITORY, run

ADDED_BYTES_MAX = 60 << 20
START_SECONDS = 30
USER = 65532
# Beside the files of Debian packages, what their installation writes, and the hosts that buildah
# gives a RUN.
OWN_FILES = {"/usr/local/bin/weir", "/usr/bin/ratelimit", "/usr/local/share/doc/weir/LICENSE"}
WRITTEN = re.compile(r"/etc/hosts$|/var/lib/dpkg/|/var/lib/apt/|/etc/ld\.so\.cache"
                     r"|/var/cache/(?:ldconfig|debconf)/|/etc/ssl/certs/|/etc/ca-certificates\.conf"
                     r"|/var/lib/systemd/"
                     r"|/etc/(?:passwd|group|shadow|gshadow)-?$")


def test_hadolint_finds_nothing():
    done = run(REPOSITORY / ".venv-image/bin/hadolint", REPOSITORY / "Dockerfile", check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_configuration_of_the_image(image_config, version, revision):
    assert image_config["User"] == "65532:65532"
    assert image_config["Entrypoint"] == ["/usr/local/bin/weir"]
    assert image_config["Cmd"] == ["serve"]
    ports = {port.partition("/")[0] for port in image_config["ExposedPorts"]}  # "8080/tcp"
    assert ports == {"8080", "8081"}
    labels = image_config["Labels"]
    assert labels["org.opencontainers.image.title"] == "weir"
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.revision"] == revision
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert not [name for name in image_config["Env"] if not name.startswith("PATH=")]


def files(rootfs):
    """Each file and link of the image with its size."""
    found = {}
    for path in rootfs.rglob("*"):
        if path.is_symlink() or path.is_file():
            found[f"/{path.relative_to(rootfs)}"] = path.lstat().st_size
    return found


def added(rootfs, base):
    """The files that the base does not have, and those of another size."""
    with tarfile.open(base) as tar:
        before = {entry.name.lstrip("."): entry.size for entry in tar if not entry.isdir()}
    return {path: size for path, size in files(rootfs).items()
            if (rootfs / path[1:]).is_symlink() and path not in before
            or not (rootfs / path[1:]).is_symlink() and before.get(path) != size}


def test_nothing_is_in_it_that_needs_not_be(rootfs, base):
    owned = set()
    for names in (rootfs / "var/lib/dpkg/info").glob("*.list"):
        for path in names.read_text().splitlines():
            # Of Debian's merged /usr, packages name both forms.
            owned |= {path, f"/usr{path}"}
    strangers = {path for path in added(rootfs, base)
                 if path not in owned | OWN_FILES and not WRITTEN.match(path)}
    assert strangers == set()
    assert OWN_FILES <= set(files(rootfs))
    assert not list((rootfs / "var/lib/apt/lists").glob("*Packages*"))
    assert not [path for path in files(rootfs) if path.startswith("/src/")]


def test_it_is_small(rootfs, base, capsys):
    sizes = added(rootfs, base)
    # What dpkg writes of all packages anew is no part of what was added.
    mine = sum(size for path, size in sizes.items() if not path.startswith("/var/lib/dpkg/"))
    libraries = sum(size for path, size in sizes.items() if "/lib/x86_64-linux-gnu/" in path)
    program = sizes["/usr/local/bin/weir"]
    with capsys.disabled():
        print(f"\nimage: {mine / 2**20:.1f} MiB on top of the base, of which program "
              f"{program / 2**20:.1f} MiB and libraries {libraries / 2**20:.1f} MiB; "
              f"{(FOLDER / 'weir.tar').stat().st_size / 2**20:.1f} MiB compressed with the base")
    assert mine < ADDED_BYTES_MAX


def confined(rootfs, *command, rules=None):
    """The command in the image's root as its user, where it can write nothing; /rules if given."""
    mounts = [f"mount --bind {rootfs} {rootfs}", f"mount --rbind /proc {rootfs}/proc"]
    if rules:
        mounts.append(f"mount --bind {rules} {rootfs}/mnt")
    mounts.append(f"mount -o remount,bind,ro {rootfs}")
    script = " && ".join(mounts) + ' && exec chroot --userspec="$1" "$2" env -i "${@:3}"'
    return ["unshare", "--mount", "bash", "-c", script, "bash", f"{USER}:{USER}", str(rootfs),
            *command]


def test_all_libraries_are_there(rootfs):
    program = "/usr/local/bin/weir"
    listed = run(*confined(rootfs, "/lib64/ld-linux-x86-64.so.2", "--list", program)).stdout
    assert "not found" not in listed
    assert "libgrpc++" in listed and "libssl" in listed


def test_both_names_run(rootfs):
    text = run(*confined(rootfs, "/usr/local/bin/weir", "version")).stdout
    assert text.startswith("weir ")
    for command in (["/usr/local/bin/weir", "serve"], ["/usr/local/bin/weir"]):
        shown = run(*confined(rootfs, *command, "--print-config")).stdout
        assert "compat: none" in shown
    # By its own name, and as the argument that a compose file's command becomes.
    for command in (["/bin/ratelimit"], ["/usr/local/bin/weir", "/bin/ratelimit"]):
        shown = run(*confined(rootfs, *command, "--print-config")).stdout
        assert "compat: ratelimit" in shown


def test_a_round_trip_without_a_place_to_write(rootfs):
    rules = REPOSITORY / "docs/example/rules"
    written = run(*confined(rootfs, "touch", "/tmp/probe"), check=False)
    assert "Read-only file system" in written.stdout
    server = subprocess.Popen(
        confined(rootfs, "/usr/local/bin/weir", "serve", "--rules-dir=/mnt", "--drain-delay=0s",
                 "--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0",
                 "--admin-listen=127.0.0.1:0", rules=rules),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        ready = select.select([server.stdout], [], [], START_SECONDS)[0]
        line = server.stdout.readline().decode() if ready else ""
        address = re.match(r"serving grpc=(\S+) ", line)
        assert address, line
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status
        check = ["/usr/local/bin/weir", "check", "--server", address[1], "-d", "shop", "user=ada"]
        codes = [run(*confined(rootfs, *check), check=False).returncode for _ in range(11)]
        # 5 a minute, and the minute may end meanwhile.
        assert codes[:5] == [0] * 5 and 1 in codes, codes
    finally:
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(START_SECONDS) == 0


def test_the_bill_of_materials_is_valid(rootfs, version):
    target = FOLDER / "weir.spdx.json"
    run(sys.executable, REPOSITORY / ".ci/sbom.py", rootfs, version, target)
    run(REPOSITORY / ".venv-image/bin/pyspdxtools", "-i", target)
    text = target.read_text(encoding="utf-8")
    for package in ("weir", "libgrpc++1.51", "libssl3", "libc6"):
        assert f'"name": "{package}"' in text
