"""What a person gets wrong ends in one clear line and the right exit status."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest

from data_collection.storage.lock import StoreLock
from tests.e2e.harness import Done, neuralos


def refused(done: Done, status: int, *words: str) -> None:
    """The command ended with a status, one line for people and one object for programs."""
    assert done.status == status, done.stderr
    error = done.json["error"]
    assert set(error) == {"code", "message", "hint"}
    lines = [line for line in done.stderr.splitlines() if line.startswith("neuralos: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def make_run(run: Path) -> Path:
    """Make a run folder without training."""
    run.mkdir()
    (run / "config.toml").write_text("")
    about = {"entry_point": "a:b", "seed": 0, "code_version": "0", "fingerprint": {}}
    (run / "run.json").write_text(json.dumps({**about, "format_version": 1}))
    return run


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    config = tmp_path / "broken.toml"
    config.write_text("[optimizer]\nlearning_rat = 0.1\n")
    run = tmp_path / "run"
    done = neuralos("train", config, "--run", run, "--json")
    refused(done, 2, "learning_rat", "did you mean")
    assert not run.exists()


def test_an_unknown_section_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "broken.toml"
    config.write_text("[optimiser]\nlr = 0.1\n")
    refused(neuralos("train", config, "--run", tmp_path / "r", "--json"), 2, "optimizer")
    config.write_text("[optimizer\n")
    refused(neuralos("train", config, "--run", tmp_path / "r", "--json"), 2, "broken.toml")
    done = neuralos("live", "--set", "optimizer.lr=fast", "--run", tmp_path / "r", "--json")
    refused(done, 2, "optimizer", "fast")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = make_run(tmp_path / "run")
        refused(neuralos("serve", run, "--port", port, "--json"), 4, str(port))


def test_a_run_of_another_version_is_left_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    text = (run / "run.json").read_text().replace('"format_version": 1', '"format_version": 9')
    (run / "run.json").write_text(text)
    for command in (["ctl", "status", run], ["live", "--headless", "--run", run], ["serve", run]):
        refused(neuralos(*command, "--json"), 2, "format 9")
    assert sorted(path.name for path in run.iterdir()) == ["config.toml", "run.json"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be stops even root."""
    blocked = tmp_path / "blocked"
    blocked.write_text("in the way")
    done = neuralos("live", "--headless", "--run", blocked / "run", "--json")
    refused(done, 4, "cannot be written")


def test_a_run_that_is_running_is_not_started_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "traces").mkdir()
    lock = StoreLock.acquire(run / "traces" / "store.lock")
    try:
        refused(neuralos("live", "--headless", "--run", run, "--json"), 4, "held by process")
    finally:
        lock.release()
    assert not (run / "logs").exists(), "nothing was started"


def test_a_missing_display_is_said(tmp_path: Path) -> None:
    done = neuralos("record", "--out", tmp_path / "traces", "--json")
    refused(done, 4, "display", "--user task")


@pytest.mark.parametrize("command", ["status", "ledger", "replay"])
def test_a_folder_without_a_run(command: str, tmp_path: Path) -> None:
    refused(neuralos("ctl", command, tmp_path, "--json"), 2, "no run")


def test_a_corrupt_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "main-000010"
    checkpoint.mkdir()
    tensors = checkpoint / "simulator.safetensors"
    tensors.write_bytes(b"what was saved")
    about = {"branch": "main", "step": 10, "mark": 1, "ledger_entries": 1, "metrics_rows": 10}
    about |= {"digest": "", "kept": False, "parent": None, "id": checkpoint.name}
    files = {tensors.name: hashlib.sha256(tensors.read_bytes()).hexdigest()}
    (checkpoint / "manifest.json").write_text(json.dumps({**about, "files": files}))
    tensors.write_bytes(b"what is there")
    env = {"SDL_VIDEODRIVER": "dummy"}
    done = neuralos("play", checkpoint, "--out", tmp_path / "traces", "--json", env=env)
    refused(done, 1, "main-000010", "simulator.safetensors")


def test_a_server_that_is_away(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-token")
    os.chmod(token, 0o600)
    where = ["--server", "http://127.0.0.1:9", "--token-file", token, "--json"]
    refused(neuralos("ctl", "status", *where), 5, "127.0.0.1:9")
    refused(neuralos("ctl", "send", "pause", *where), 5, "127.0.0.1:9")
