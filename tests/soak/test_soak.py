"""The soak in a small size; `python -m tests.soak` is the long one."""

import pytest

from tests.soak.soak import Plan, run_soak


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_run_twice_unannounced_while_everything_fails() -> None:
    soak = run_soak(Plan(minutes=0.5, agents=2, hive_agents=1, seed=1))
    found = soak.figures
    assert found.wrong == []
    assert (found.lost, found.unannounced, found.processes_left, found.descriptors_left) == (0, 0, 0, [])
    assert found.states.total() == found.states["done"] + found.states["dead"] == found.accepted > 0
    assert soak.faults.total() > 0
