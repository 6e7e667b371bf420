from __future__ import annotations

import pytest

from experiments.arguments import parse_arguments
from experiments.console import Failure


def test_a_name_with_a_dot_stands_in_a_table_and_keeps_its_further_dots() -> None:
    words = (
        "schedule=SequentialLR",
        "arguments.schedules=LinearLR/StepLR",
        "arguments.1.gamma=0.5",
    )
    assert parse_arguments(words) == {
        "schedule": "SequentialLR",
        "arguments": {"schedules": "LinearLR/StepLR", "1.gamma": 0.5},
    }
    assert parse_arguments(("weights.live=2.0", 'drop=["base"]')) == {
        "weights": {"live": 2.0},
        "drop": ["base"],
    }


@pytest.mark.parametrize("words", [("lr",), ("=1",), ("weights=1", "weights.live=2")])
def test_what_is_no_assignment_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Failure):
        parse_arguments(words)
