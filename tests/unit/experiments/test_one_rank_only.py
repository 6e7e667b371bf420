"""The simulator's own trainer says in one line that it knows no ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli import cli
from experiments.console import Status, run_cli


def test_train_is_refused_under_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_cli(cli, ["train", "--run", str(tmp_path / "run")]) == Status.REFUSED
    assert "one rank" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
