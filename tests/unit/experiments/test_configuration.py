from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from experiments.config import HarnessConfig, load_config, open_or_create, run_policy
from interactive.policy import AgentLimits, Policy
from interactive.record.run_folder import RunFolder, RunInfo
from neuralos.config import ConfigError

ROOT = Path(__file__).parents[3]


def keys(section: Any, prefix: str = "") -> list[str]:
    """Return the keys of a section, nested ones with their path."""
    found = []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        name = f"{prefix}{field.name}"
        found += keys(value, f"{name}.") if dataclasses.is_dataclass(value) else [name]
    return found


def sections(config: HarnessConfig) -> dict[str, Any]:
    own = {"base": config.base, "steering": config.steering, "policy": config.policy}
    return {**own, **config.neuralos.sections()}


def test_every_section_and_key_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    parts = {part.split("`")[1].strip("[]"): part for part in text.split("\n## ")[1:]}
    config = load_config(None, (), None)
    missing = [
        f"{name}.{key}"
        for name, section in sections(config).items()
        for key in keys(section)
        if f"`{key}`" not in parts.get(name, "")
    ]
    assert missing == []


def test_every_documented_key_exists() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    config = load_config(None, (), None)
    known = {name: set(keys(section)) for name, section in sections(config).items()}
    for part in text.split("\n## ")[1:]:
        name = part.split("`")[1].strip("[]")
        rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        documented = {key.strip(" `") for row in rows for key in row.split(",")}
        assert documented == known[name]


def test_the_tiny_file_is_the_built_in_configuration() -> None:
    assert load_config(ROOT / "configs" / "tiny.toml", (), None) == load_config(None, (), None)


def test_a_resolved_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    config = load_config(None, ("optimizer.lr=0.5", "base.traces=2"), 11)
    folder = open_or_create(tmp_path / "run", config, lambda line: None)
    assert load_config(folder.config, (), None) == config
    assert folder.info().seed == 11


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("optimizer.max_grad_nrm=1", "max_grad_norm"),
        ("optimiser.lr=1", "optimizer"),
        ("simulator.rnn.lstms=3", "lstm"),
        ("steering.checkpoint_evry=3", "checkpoint_every"),
        ("policy.agent.cooldown_step=3", "cooldown_steps"),
        ("policy.agent.forbidden=['stpo']", "stop"),
        ("policy.agent.approval={ load_checkpont = 1 }", "load_checkpoint"),
        ("policy.bounds={ lrr = [0, 1] }", "lr"),
        ("policy.bounds={ lr = [1, 0] }", "lowest, highest"),
        ("policy.admin.lr_ratio=0.5", "above 1"),
    ],
)
def test_what_nobody_reads_names_the_nearest(override: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=nearest):
        load_config(None, (override,), None)


def test_one_limit_of_a_role_leaves_its_others_as_they_are(tmp_path: Path) -> None:
    overrides = ("policy.agent.cooldown_steps=7", "policy.bounds={ lr = [1e-6, 1e-2] }")
    config = load_config(None, overrides, 1)
    agent = config.policy.agent
    assert (agent.cooldown_steps, agent.lr_ratio) == (7, AgentLimits().lr_ratio)
    assert agent.forbidden == AgentLimits().forbidden
    assert config.policy.bounds["lr"] == (1e-6, 1e-2)
    assert config.policy.bounds["eps"] == Policy().bounds["eps"]
    folder = open_or_create(tmp_path / "run", config, lambda line: None)
    assert run_policy(folder.path) == config.policy


def test_a_run_with_another_kind_of_configuration_has_the_default_policy(tmp_path: Path) -> None:
    info = RunInfo(entry_point="elsewhere:build", seed=1, code_version="test")
    folder = RunFolder.create(tmp_path / "run", config='{"not": "toml"}', info=info)
    assert run_policy(folder.path) == Policy()


def test_a_continued_run_keeps_its_own_configuration(tmp_path: Path) -> None:
    first = load_config(None, ("optimizer.lr=0.5",), 1)
    open_or_create(tmp_path / "run", first, lambda line: None)
    said: list[str] = []
    again = open_or_create(tmp_path / "run", load_config(None, (), 2), said.append)
    assert load_config(again.config, (), None) == first
    assert "its own configuration" in said[0]
