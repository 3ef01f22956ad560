"""Every value file of helm/ci through both majors of helm: lint, the same text, golden files."""

import pytest

from conftest import CASES, CHART, Helm, ROOT, both

GOLDEN = ROOT / "tests/chart/golden"


@pytest.mark.parametrize("case", CASES)
def test_lint(helm: Helm, case):
    code, out, err = helm.run("lint", "--strict", CHART, "-f", CHART / f"ci/{case}-values.yaml")
    assert code == 0, out + err


@pytest.mark.parametrize("case", CASES)
def test_both_majors_render_the_same(case):
    assert both(3).case(case) == both(4).case(case)


@pytest.mark.parametrize("case", CASES)
def test_golden(helm4: Helm, case, request):
    path = GOLDEN / f"{case}.yaml"
    rendered = helm4.case(case)
    if request.config.getoption("--update-golden"):
        path.write_text(rendered, encoding="utf-8")
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    assert rendered == golden, f"if meant: pytest tests/chart --update-golden, then read {path}"


def test_no_golden_file_is_left_over():
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(CASES)
