"""Base data: who makes which trace, what is drawn again, and that all of it is repeatable."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.happenings import HAPPENINGS
from data_collection.storage.reading import read_clip
from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow
from experiments.base_data import BaseConfig, NeverWithout, make_base, missing_traces
from experiments.config import load_config
from neuralos.bases import base_folder, base_names
from neuralos.config import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"
WITHOUT = ("browser_launch", "folder_creation")
USERS = {"various:windows": 1.0, "explorer": 2.0, "task:say_in_terminal": 1.0}


def made(folder: Path, config: BaseConfig, seed: int = 3) -> list[ClipRow]:
    store = TraceStore.open(folder)
    try:
        make_base(store, config, seed, SystemClock())
        assert missing_traces(store, config, seed) == []
        return list(store.index.rows_after(0, 1000))
    finally:
        store.close()


def contents(rows: list[ClipRow]) -> list[tuple[str, int, str]]:
    return sorted((row.trace_id, row.seq, row.body_sha) for row in rows)


def test_every_beginning_of_the_traces_holds_the_shares() -> None:
    config = BaseConfig(users={"opener": 2.0, "task": 1.0, "explorer": 0.5})
    turns = list(islice(config.users_in_turn(), 70))
    assert Counter(turns) == {"opener": 40, "task": 20, "explorer": 10}
    for count in range(1, 70):
        for name, share in config.users.items():
            assert abs(turns[:count].count(name) - count * share / 3.5) <= 1.0


def test_the_same_seed_makes_the_same_bytes_and_a_restart_only_what_is_missing(
    tmp_path: Path,
) -> None:
    config = BaseConfig(traces=3, clips=2, users=USERS, without=WITHOUT)
    whole = made(tmp_path / "whole", config)
    made(tmp_path / "again", BaseConfig(traces=1, clips=2, users=USERS, without=WITHOUT))
    assert contents(made(tmp_path / "again", config)) == contents(whole)
    assert contents(made(tmp_path / "other", config, seed=4)) != contents(whole)


def test_no_trace_shows_what_it_must_be_without(tmp_path: Path) -> None:
    # Explorers launch the browser in about every fifth trace of this length.
    config = BaseConfig(traces=16, clips=10, users={"explorer": 1.0}, without=WITHOUT)
    rows = made(tmp_path / "store", config)
    seeds = header_seeds(tmp_path / "store", {row.trace_id for row in rows})
    assert any(seed > 10**6 for seed in seeds.values()), "none was drawn again"
    for trace_id in sorted({row.trace_id for row in rows}):
        desktop = ScriptedDesktop()
        desktop.reset(seeds[trace_id])
        folders = desktop.state()["folders"]
        for row in sorted((r for r in rows if r.trace_id == trace_id), key=lambda r: r.seq):
            for events in read_clip(tmp_path / "store", row).events:
                desktop.step(events)
                state = desktop.state()
                assert state["launching"] is None
                assert state["naming"] is None
                assert state["folders"] == folders
                assert "Browser" not in [window["app"] for window in state["windows"]]


def header_seeds(folder: Path, trace_ids: set[str]) -> dict[str, int]:
    store = TraceStore.open(folder)
    try:
        found = {name: store.index.trace(name) for name in trace_ids}
        return {name: trace[0].seed for name, trace in found.items() if trace}
    finally:
        store.close()


def test_a_user_that_does_nothing_else_is_refused_by_name(tmp_path: Path) -> None:
    config = BaseConfig(traces=1, clips=6, users={"task:launch_browser": 1.0}, without=WITHOUT)
    with pytest.raises(NeverWithout, match="task:launch_browser"):
        made(tmp_path, config)


def test_the_desktop_takes_as_long_to_launch_as_is_said(tmp_path: Path) -> None:
    user = {"task:launch_browser": 1.0}
    slow = made(tmp_path / "slow", BaseConfig(traces=1, clips=4, users=user, launch_frames=40))
    fast = made(tmp_path / "fast", BaseConfig(traces=1, clips=4, users=user, launch_frames=5))
    assert contents(slow) != contents(fast)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('base.users={ "task:lunch_browser" = 1.0 }', "task:launch_browser"),
        ('base.without=["browser_lunch"]', "browser_launch"),
        ("base.users={ task = 0.0 }", "above 0"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_nearest_name(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(None, (override,), None)


def test_users_with_a_colon_in_their_name_survive_the_resolved_configuration(
    tmp_path: Path,
) -> None:
    config = load_config(None, ('base.users={ "task:open_home" = 1.5, task = 1.0 }',), None)
    file = tmp_path / "config.toml"
    file.write_text(config.to_toml())
    assert load_config(file, (), None).base == config.base


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_configuration_that_comes_with_it_is_read(file: Path) -> None:
    assert load_config(file, (), None).to_toml()


def test_a_base_without_launches_has_no_users_who_need_them() -> None:
    base = load_config(CONFIGS / "base-without-launch.toml", (), None).base
    whole = load_config(CONFIGS / "base.toml", (), None).base
    assert set(base.without) == set(HAPPENINGS)
    assert not whole.without
    assert not {name for name in base.users if "browse" in name or "folder" in name}


def test_the_wheel_holds_every_file_of_the_bases() -> None:
    code = (
        "import json; from setuptools import Distribution; from distutils.core import run_setup;"
        "build = run_setup('setup.py', stop_after='init').get_command_obj('build_py');"
        "build.ensure_finalized();"
        "print(json.dumps({where: files for _, where, _, files in build.data_files}))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    said = subprocess.run(command, cwd=CONFIGS.parent, capture_output=True, text=True, check=True)
    packaged = json.loads(said.stdout.splitlines()[-1])
    for name in base_names():
        for file in base_folder(name).iterdir():
            assert f"bases/{name}/{file.name}" in packaged["neuralos"]
