from __future__ import annotations

from pathlib import Path

import pytest

from neuralos.config import ConfigError, read_document, to_toml
from neuralos.run_config import SECTIONS, NeuralosConfig


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "[optimizer]\nwieght_decay = 0.1\n")
    with pytest.raises(ConfigError, match=r"'wieght_decay'.*did you mean 'weight_decay'"):
        NeuralosConfig.of(read_document(path))


def test_unknown_section_names_the_nearest(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "[optimzer]\nlr = 0.1\n"))
    with pytest.raises(ConfigError, match=r"did you mean 'optimizer'"):
        document.check_sections([*SECTIONS, "live", "server"])


def test_value_of_another_type_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '[lanes]\nlanes = "many"\n')
    with pytest.raises(ConfigError, match=r"lanes: 'many' is not of type int"):
        NeuralosConfig.of(read_document(path))


def test_unknown_source_of_the_mixture_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "[mixture]\nweights = { bse = 1.0 }\n")
    with pytest.raises(ConfigError, match=r"'bse'; did you mean 'base'"):
        NeuralosConfig.of(read_document(path))


def test_override_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[optimizer]\nlr = 0.1\n")
    document = read_document(path, ["optimizer.lr=2e-3", "simulator.rnn.lstm=64"])
    config = NeuralosConfig.of(document)
    assert config.optimizer.lr == 2e-3
    assert config.simulator.rnn.lstm == 64


def test_override_without_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        read_document(write(tmp_path, ""), ["lr=1"])


def test_resolved_config_reads_back_the_same(tmp_path: Path) -> None:
    document = read_document(
        write(tmp_path, "[mixture]\nweights = { base = 1.0, live = 2.5 }\nlive_intake = false\n")
    )
    config = NeuralosConfig.of(document)
    again = read_document(write(tmp_path, to_toml(config.sections())))
    assert NeuralosConfig.of(again) == config


def test_tiny_config_is_valid() -> None:
    document = read_document(Path(__file__).parents[3] / "configs" / "tiny.toml")
    assert NeuralosConfig.of(document).simulator.components > 0
