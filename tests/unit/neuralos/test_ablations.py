from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from neuralos.build import build_simulator
from neuralos.config import read_document
from neuralos.models.fast.simulator import FastSimulator
from neuralos.run_config import NeuralosConfig

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("ablations", BENCHMARKS / "ablations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ablations", module)
    spec.loader.exec_module(module)
    return module


def test_every_variant_is_a_simulator_of_its_own(ablations: ModuleType) -> None:
    for choice in ablations.CHOICES.values():
        configs = set()
        for variant in choice.variants.values():
            config = NeuralosConfig.of(read_document(ablations.CONFIG, variant.overrides))
            assert config.simulator.fast.path.shortcuts or not variant.distilling
            trained = repr(config) + repr((variant.steps, variant.distilling))
            configs.add(trained)
        assert len(configs) == len(choice.variants)
    largest = NeuralosConfig.of(read_document(ablations.CONFIG))
    assert isinstance(build_simulator(largest.simulator, 0), FastSimulator)


def test_variants_that_differ_in_drawing_alone_share_a_training(
    ablations: ModuleType, tmp_path: Path
) -> None:
    setting = ablations.Setting(tmp_path, 60.0, 10, 0, None)
    steps = {setting.name(v) for v in ablations.CHOICES["steps"].variants.values()}
    assert len(steps) == 1
    paths = {setting.name(v) for v in ablations.CHOICES["path"].variants.values()}
    assert len(paths) == 3


def test_table_has_a_row_for_each_measured_variant(ablations: ModuleType) -> None:
    measure = {"model": 0.5, "copy_last": 0.25, "ci95": [0.4, 0.6]}
    row = {
        "choice": "path",
        "variant": "edm",
        "updates": 7,
        "parameters": 1_800_000,
        "frame_ms": 12.0,
        "cpu_s": 60.0,
        "seed": 0,
        "suite": "basic-v1",
        "measures": {"transitions": measure},
    }
    lines = ablations.table([row]).splitlines()
    assert len(lines) == 3
    assert "| path | edm |  |  | 0.5 (0.4 – 0.6; copy 0.25) | 7 | 1.80 M |" in lines[2]
