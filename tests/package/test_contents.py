"""What is in the package, and how the program in it was built."""

import os
import platform
import re
import subprocess

import pytest

from conftest import BUILD_SECONDS, REPOSITORY, documented, run

FILES = """
/etc/weir/rules/shop.yaml
/etc/weir/weir.yaml
/lib/systemd/system/weir.service
/usr/bin/weir
/usr/lib/sysusers.d/weir.conf
/usr/share/bash-completion/completions/weir
/usr/share/doc/weir/README.md
/usr/share/doc/weir/changelog.Debian.gz
/usr/share/doc/weir/copyright
/usr/share/man/man1/weir.1.gz
/usr/share/zsh/vendor-completions/_weir
""".split()

# What lintian warns of and why that stays.
WARNINGS = {
    "initial-upload-closes-no-bugs": "not in Debian's archive, so no bug there asked for it",
}


def test_the_package_holds_what_it_should_and_nothing_else(deb, tree):
    protos = {f"/usr/share/weir/{path.relative_to(REPOSITORY)}"
              for path in (REPOSITORY / "proto").rglob("*.proto")}
    found = {f"/{path.relative_to(tree)}" for path in tree.rglob("*") if path.is_file()}
    assert found == {*FILES, *protos}
    for line in run("dpkg-deb", "-c", deb).stdout.splitlines():
        mode, owner, *_, path = line.split()
        assert owner == "root/root", line
        program = path == "./usr/bin/weir" or path.endswith("/")
        assert mode[1:] == ("rwxr-xr-x" if program else "rw-r--r--"), line


def test_the_libraries_it_links_are_dependencies(deb):
    depends = run("dpkg-deb", "-f", deb, "Depends").stdout
    for library in ("libc6", "libgrpc++1.51", "libprotobuf32", "libhiredis0.14", "libssl3",
                    "libyaml-cpp0.7", "libspdlog1.10", "libevent-core-2.1-7",
                    "systemd | systemd-standalone-sysusers"):
        assert library in depends


def test_lintian_finds_no_errors_and_no_unexplained_warnings(deb):
    done = run("lintian", "--allow-root", "--tag-display-limit", "0", deb, check=False)
    tags = re.findall(r"^([EW]): weir: (\S+)(.*)", done.stdout, re.M)
    assert [f"{level} {tag}{rest}" for level, tag, rest in tags
            if level == "E" or tag not in WARNINGS] == []
    assert {tag for _, tag, _ in tags} == set(WARNINGS)
    assert done.stderr == ""


def test_two_packages_of_one_build_are_the_same(deb, build, tmp_path):
    run("cpack", "--config", build / "CPackConfig.cmake", "-B", tmp_path, cwd=build)
    assert (tmp_path / deb.name).read_bytes() == deb.read_bytes()


@pytest.fixture(scope="module")
def elf(tree):
    return run("readelf", "-Wlhdn", "--dyn-syms", tree / "usr/bin/weir").stdout


@pytest.mark.parametrize("hardening, trace", [
    ("position independent", r"Type: +DYN \(Position-Independent Executable file\)"),
    ("relocations are read-only", r"GNU_RELRO"),
    ("all symbols are bound at start", r"FLAGS_1\) +Flags: NOW PIE"),
    ("no executable stack", r"GNU_STACK +\S+ \S+ \S+ \S+ \S+ RW "),
    ("stack protector", r"__stack_chk_fail@"),
    ("fortified library calls", r"__(?:memcpy|snprintf|vsnprintf|read|fread|longjmp|fdelt)_chk@"),
])
def test_the_program_is_hardened(elf, hardening, trace):
    assert re.search(trace, elf), hardening


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 has these instructions")
def test_jumps_may_land_on_marked_places_only(tree):
    # Debian's start files are not marked, so the program as a whole never is; its functions are.
    endbr64 = b"\xf3\x0f\x1e\xfa"
    assert (tree / "usr/bin/weir").read_bytes().count(endbr64) > 1000


def test_nothing_of_the_build_machine_is_in_the_program(tree):
    program = (tree / "usr/bin/weir").read_bytes()
    assert str(REPOSITORY).encode() not in program
    assert b".symtab" not in subprocess.run(
        ["readelf", "-SW", tree / "usr/bin/weir"], capture_output=True, check=True).stdout


def test_an_install_under_a_prefix_writes_nothing_outside_it(build, tmp_path):
    prefix = tmp_path / "prefix"
    run("cmake", "--install", build, "--prefix", prefix)
    unit = (prefix / "lib/systemd/system/weir.service").read_text()
    assert f"ExecStart={prefix}/bin/weir serve --config={prefix}/etc/weir/weir.yaml\n" in unit
    config = prefix / "etc/weir/weir.yaml"
    assert f"rules-dir: {prefix}/etc/weir/rules\n" in config.read_text()
    effective = run(prefix / "bin/weir", "serve", f"--config={config}", "--print-config").stdout
    assert f'rules-dir: "{prefix}/etc/weir/rules"' in effective

    config.write_text("# mine\n")
    run("cmake", "--install", build, "--prefix", prefix)
    assert config.read_text() == "# mine\n"


def test_an_install_from_source_as_documented(tmp_path):
    environment = {**os.environ, "DESTDIR": str(tmp_path)}
    run("bash", "-ec", "\n".join(documented("From source")), cwd=REPOSITORY, env=environment,
        seconds=BUILD_SECONDS)
    found = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*") if path.is_file()}
    assert {"/etc/weir/weir.yaml", "/etc/weir/rules/shop.yaml", "/usr/local/bin/weir",
            "/usr/local/lib/systemd/system/weir.service", "/usr/local/lib/sysusers.d/weir.conf",
            "/usr/local/share/bash-completion/completions/weir",
            "/usr/local/share/zsh/site-functions/_weir",
            "/usr/local/share/weir/proto/weir/v1/limiter.proto",
            "/usr/local/share/man/man1/weir.1.gz"} <= found
