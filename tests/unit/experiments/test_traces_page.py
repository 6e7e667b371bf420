"""The commands of docs/traces.md, as they stand there, one after another in a folder."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from traces_desk import Neuralos, end_when_idle, make_run, served

from experiments.commands.traces import traces

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "traces.md"
SERVER = "http://127.0.0.1:8000"


def commands() -> list[list[str]]:
    """Return the words of each command of the page's section."""
    section = PAGE.read_text("utf-8").split("<!-- commands: start -->")[1]
    section = section.split("<!-- commands: end -->")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_every_command_of_the_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "data" / "demo_logs", "tests/data/demo_logs")
    neuralos = Neuralos(capsys)
    failed = {}
    run = make_run(Path("runs/live"))
    with served(run) as url:
        for program, *words in commands():
            assert program == "neuralos"
            if "--follow" in words:
                end_when_idle(monkeypatch)
            status, said = neuralos(*[url if word == SERVER else word for word in words])
            if status or not said.get("ok", said.get("verified")):
                failed[" ".join(words)] = said
    assert failed == {}
    for made in ("sheet.png", "frame.png", "videos", "imported"):
        assert Path(made).exists()


def test_every_command_of_traces_stands_on_the_page() -> None:
    shown = {words[2] for words in commands() if words[1] == "traces"}
    assert shown == set(traces.commands)
    assert ["neuralos", "collect"] in [words[:2] for words in commands()]
