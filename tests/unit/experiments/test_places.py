"""Which rank a command is, and what it refuses before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli import cli
from experiments.console import Failure, Status, run_cli
from experiments.ranks import Place


def test_without_torchrun_a_command_is_alone() -> None:
    assert Place.of({}) == Place.of({"WORLD_SIZE": "1", "RANK": "0"}) == Place(0, 1, 0)


def test_torchrun_names_the_rank_and_its_device() -> None:
    env = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}
    assert Place.of(env) == Place(3, 4, 1)
    del env["LOCAL_RANK"]
    assert Place.of(env) == Place(3, 4, 3)


@pytest.mark.parametrize("env", [{"WORLD_SIZE": "two"}, {"WORLD_SIZE": "2"}])
def test_ranks_that_make_no_sense_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(Failure) as refused:
        Place.of(env)
    assert (refused.value.code, refused.value.status) == ("bad_ranks", Status.USAGE)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_lanes_that_ranks_cannot_share_are_refused(
    rank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    words = ["train", "--run", str(tmp_path / "run"), "--set", "lanes.lanes=3"]
    assert run_cli(cli, words) == Status.USAGE
    assert "2 ranks cannot share evenly" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_window_is_refused_under_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert run_cli(cli, ["live", "--run", str(tmp_path / "run")]) == Status.REFUSED
    assert "runs on one rank" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
