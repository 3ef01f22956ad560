"""Rules changed under load: how soon they are in force, and that no request fails."""

import pytest

import changes
import program
from changes import ALLOWED, DENIED

RULES = """
domain: live
descriptors:
  - key: user
    rate_limit: {{unit: hour, requests_per_unit: {0}}}
"""
MANY = 1_000_000_000


@pytest.mark.parametrize("how", ["file", "configmap"])
def test_rules_reload_under_load(how, start_redis, start_fleet, api, tmp_path, report, scale):
    folder = tmp_path / "live"
    folder.mkdir()
    change = changes.writer(how, folder, "live.yaml")
    change(RULES.format(0))
    fleet = start_fleet(start_redis().address, f"--rules-dir={folder}", nodes=1)
    fleet.wait_ready(knows_all=False)
    took = []
    with changes.Load(api, fleet.programs[0], ["live"]) as load:
        program.poll(lambda: load.last("live") == DENIED, 10, "denials")
        for _ in range(3 * max(1, round(scale / 2))):
            took.append(load.effect(lambda: change(RULES.format(MANY)), {"live": ALLOWED},
                                    "the new limit"))
            took.append(load.effect(lambda: change(RULES.format(0)), {"live": DENIED},
                                    "the old limit"))
    assert not load.failed
    report(f"rules reload by {how}",
           f"{len(took)} changes, effect after {min(took):.2f} to {max(took):.2f} s, "
           f"{load.total} answers meanwhile")
    assert max(took) < changes.bound(how)
