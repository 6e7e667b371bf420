from __future__ import annotations

import click
import pytest

from experiments.durations import Duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("120s", 120.0), ("3m", 180.0), ("1.5h", 5400.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "fast", "3 weeks", "-1s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90, 120s, 3m or 1h"):
        Duration().convert(text, None, None)
