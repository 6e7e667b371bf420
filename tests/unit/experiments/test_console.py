from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from experiments.cli import COMMANDS, cli
from experiments.console import Failure, Status, emit, json_option, run_cli
from interactive.record.run_folder import RunVersionMismatch


@click.group()
def root() -> None:
    """A command line for these tests."""


@root.command()
@json_option
def works(as_json: bool) -> None:
    emit("works", {"answer": 42}, as_json=as_json, text="forty-two")


@root.command()
@json_option
def refuses(as_json: bool) -> None:
    raise Failure(
        Status.REFUSED, "too_high", "lr is too high.", "At most 1.", {"state": "rejected"}
    )


@root.command()
@json_option
def old_run(as_json: bool) -> None:
    raise RunVersionMismatch("a run of format 9", "use the version that wrote it")


@root.command()
def interrupted() -> None:
    raise KeyboardInterrupt


@root.command()
def surprises() -> None:
    raise ZeroDivisionError


def last_object(text: str) -> dict[str, object]:
    found = json.loads(text.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_a_result_is_one_object_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(root, ["works", "--json"]) == 0
    assert last_object(capsys.readouterr().out) == {"schema": "neuralos.works/1", "answer": 42}


def test_people_get_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(root, ["works"]) == 0
    assert capsys.readouterr().out == "forty-two\n"


def test_a_failure_has_status_object_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(root, ["refuses", "--json"]) == 3
    printed = capsys.readouterr()
    assert last_object(printed.out) == {
        "state": "rejected",
        "error": {"code": "too_high", "message": "lr is too high.", "hint": "At most 1."},
    }
    assert printed.err == "neuralos: lr is too high. At most 1.\n"


def test_named_exceptions_become_failures(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(root, ["old-run", "--json"]) == 2
    error = last_object(capsys.readouterr().out)["error"]
    assert error == {
        "code": "run_version_mismatch",
        "message": "a run of format 9",
        "hint": "use the version that wrote it",
    }


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["nothing"], 2), (["works", "--wrong"], 2), (["interrupted"], 130), ([], 2)],
)
def test_exit_statuses(arguments: list[str], status: int) -> None:
    assert run_cli(root, arguments) == status


def test_an_error_that_nobody_named_keeps_its_trace() -> None:
    with pytest.raises(ZeroDivisionError):
        run_cli(root, ["surprises"])


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_that_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(cli, [name, "--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 4


def test_every_option_of_every_command_is_explained() -> None:
    context = click.Context(cli)
    unexplained = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts = command.commands.values() if isinstance(command, click.Group) else [command]
        for part in parts:
            unexplained += [
                f"{name} {option.name}"
                for option in part.params
                if isinstance(option, click.Option) and not option.help
            ]
    assert unexplained == []


def test_help_imports_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from experiments.cli import cli; from experiments.console import run_cli;"
        "run_cli(cli, ['--help']);"
        "heavy = {'torch', 'wandb', 'pygame', 'fastapi', 'numpy', 'diffusers'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    root_folder = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root_folder, capture_output=True)
    assert done.returncode == 0, done.stderr
