import re
from pathlib import Path

import pytest
from served_run import ServedRun

from interactive.commands import COMMAND
from interactive.server.page import FILES, FOLDER

HTML = (FOLDER / "index.html").read_text()
SCRIPTS = {name: (FOLDER / name).read_text() for name in ("app.js", "chart.js")}


@pytest.mark.parametrize("address", FILES)
def test_every_file_is_served_as_what_it_is(tmp_path: Path, address: str) -> None:
    got = ServedRun(tmp_path / "run").client(None).get(address)
    assert got.status_code == 200
    name, media_type = FILES[address]
    assert got.content == (FOLDER / name).read_bytes()
    assert got.headers["content-type"] == media_type


def test_the_page_needs_nothing_that_its_policy_forbids() -> None:
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:", HTML) == []
    for text in (HTML, *SCRIPTS.values(), (FOLDER / "style.css").read_text()):
        assert set(re.findall(r"https?://[^\s\"')]+", text)) == set()
    for code in SCRIPTS.values():
        assert "innerHTML" not in code
        assert "eval(" not in code


def test_what_the_page_asks_for_is_served() -> None:
    asked = set(re.findall(r'(?:src|href)="([^"]+)"', HTML))
    asked |= {f"/{name}" for name in re.findall(r'from "\./([^"]+)"', SCRIPTS["app.js"])}
    assert asked <= set(FILES)


def test_the_script_finds_the_elements_that_it_names() -> None:
    named = set(re.findall(r'\$\("([\w-]+)"\)', SCRIPTS["app.js"]))
    assert named <= set(re.findall(r'\bid="([\w-]+)"', HTML))


def test_the_controls_send_commands_that_exist_each_with_a_reason() -> None:
    known = {tag["const"] for tag in _tags()}
    forms = re.findall(r'<form data-command="(\w+)".*?</form>', HTML, re.DOTALL)
    assert set(forms) <= known
    for form in re.findall(r"<form data-command.*?</form>", HTML, re.DOTALL):
        assert 'name="reason"' in form


def _tags() -> list[dict[str, str]]:
    definitions = COMMAND.json_schema()["$defs"].values()
    return [one["properties"]["command"] for one in definitions]
