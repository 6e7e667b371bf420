"""The rules of the house, held by machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("data_collection", "interactive", "neuralos", "experiments")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
BANNED_NAMES = {"utils", "helpers", "common", "misc", "manager"}
SEEDS = ("torch.manual_seed", "random.seed")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 100


def test_dependencies_run_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_files_stay_under_the_cap() -> None:
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    long = {str(p.relative_to(ROOT)): n for p in files if (n := _lines(p)) > MAX_FILE_LINES}
    assert long == {}


def test_functions_stay_under_the_cap() -> None:
    long = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_named_by_their_noun(package: str) -> None:
    names = {path.stem for path in (ROOT / package).rglob("*.py")}
    assert names & BANNED_NAMES == set()


def test_no_global_random_generator_is_used() -> None:
    """Every draw comes from a generator that was handed in or keyed."""
    offenders = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                base = ast.unparse(node.value)
                if base in ("np.random", "numpy.random") and node.attr[0].islower():
                    offenders.append(f"{path.name}:{node.lineno} {base}.{node.attr}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in SEEDS:
                offenders.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert [one for one in offenders if one not in forked_seeds()] == []


def forked_seeds() -> set[str]:
    """Return the calls that seed a fork of the generator: torch initialises weights from it."""
    return {
        f"{path.name}:{call.lineno} {ast.unparse(call)}"
        for path in FILES
        for block in ast.walk(ast.parse(path.read_text()))
        if isinstance(block, ast.With) and "fork_rng" in ast.unparse(block.items[0])
        for call in ast.walk(block)
        if isinstance(call, ast.Call)
    }


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
