"""The README's tour, as it stands there, and what the run it leaves must show."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from experiments.summary import newest_checkpoint, read_rows
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder
from neuralos.data.mixture import BASE_SOURCE
from tests.e2e.harness import MICRO, Done, neuralos, running, send, status, steps, until

README = Path(__file__).parents[2] / "README.md"
LONG = "10m"
"""Here Ctrl-C ends the run, when the tour has been made, however fast the machine is."""


def tour_lines() -> list[list[str]]:
    """Return the words of every command in the README's tour."""
    text = README.read_text("utf-8")
    tour = text.split("<!-- tour: start -->")[1].split("<!-- tour: end -->")[0]
    blocks = re.findall(r"```sh\n(.*?)```", tour, flags=re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


class Tour:
    """The finished tour: its run folder, and what each command answered."""

    def __init__(self, run: Path, live: Done, answers: list[tuple[list[str], Done]]) -> None:
        self.run = run
        self.live = live
        self.answers = answers


def used_live_clips(run: Path) -> int:
    """Return how many clips of the window some step has learned from."""
    folder = RunFolder(run)
    live = {row.commit for row in read_rows(folder.data) if row.source != BASE_SOURCE}
    return len(live & {commit for step in steps(run) for commit in step.commits})


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    folder = tmp_path_factory.mktemp("tour")
    run = folder / "runs" / "tour"
    lines = [[word.replace("runs/tour", str(run)) for word in line] for line in tour_lines()]
    assert lines[0][:2] == ["neuralos", "live"]
    first = [LONG if word == "120s" else word for word in lines[0][1:]]
    answers: list[tuple[list[str], Done]] = []
    with running(*first, *MICRO, "--json") as live:
        until(lambda: (run / "run.json").exists() and len(steps(run)) >= 10, "ten steps")
        later = iter(lines[1:])
        for line in later:
            if line[2] == "ledger":
                break
            answers.append((line, neuralos(*line[1:], "--json")))
        picture = send(run, "evaluate")
        assert picture["state"] == "applied"
        until(lambda: used_live_clips(run) >= 8, "eight live clips in batches")
        done = live.end()
    answers.append((line, neuralos(*line[1:], "--json")))
    answers += [(line, neuralos(*line[1:], "--json")) for line in later]
    return Tour(run, done, answers)


def test_every_command_of_the_tour_works(tour: Tour) -> None:
    assert tour.live.status == 130, tour.live.stderr
    failed = {" ".join(line): done.stderr for line, done in tour.answers if done.status != 0}
    assert failed == {}
    assert {line[2] for line, _ in tour.answers} >= {"status", "send", "ledger", "replay"}


def test_live_tells_what_happened(tour: Tour) -> None:
    said = tour.live.json
    assert said["schema"] == "neuralos.live/1"
    assert said["steps"] == len(steps(tour.run))
    clips = said["clips"]
    assert clips["acknowledged"] >= clips["used"] > 0
    assert clips["quarantined"] == 0
    assert said["first_gradient_lag_s"]["p95"] >= said["eligible_lag_s"]["p50"] > 0
    assert Path(said["rollout_png"]).is_file()
    assert [one["command"] for one in said["interventions"]][:2] == [
        "update_optimizer",
        "update_mixture",
    ]


def test_the_logged_learning_rate_shows_the_change_from_its_step_on(tour: Tour) -> None:
    change = next(
        entry
        for entry in read_ledger(RunFolder(tour.run).ledger)
        if entry.kind is EntryKind.INTERVENTION
        and entry.body["command"]["command"] == "update_optimizer"
    )
    rates = {row.step: row.lr for row in steps(tour.run)}
    assert rates[change.step] == 1e-4
    assert all(lr == 1e-4 for step, lr in rates.items() if step >= change.step)
    assert all(lr != 1e-4 for step, lr in rates.items() if step < change.step)


def test_clips_acknowledged_before_the_end_have_a_first_gradient(tour: Tour) -> None:
    said = tour.live.json["clips"]
    assert said["used"] >= 0.95 * (said["acknowledged"] - 10)


def test_the_run_replays_bit_for_bit(tour: Tour) -> None:
    replayed = next(done for line, done in tour.answers if line[2] == "replay").json
    assert replayed["identical"] == replayed["steps"] == len(steps(tour.run))
    assert replayed["first_divergence"] is None
    assert replayed["live_clips"] > 0


def test_a_moved_intervention_is_named_at_its_step(tour: Tour, tmp_path: Path) -> None:
    export = tmp_path / "ledger.jsonl"
    assert neuralos("ctl", "ledger", tour.run, "--export", export).status == 0
    entries: list[dict[str, Any]] = [json.loads(line) for line in export.read_text().splitlines()]
    moved = next(e for e in entries if e.get("command", {}).get("command") == "update_optimizer")
    was = moved["step"]
    moved["step"] = was + 1
    ordered = sorted(entries, key=lambda entry: (entry["step"], entry["seq"]))
    export.write_text("".join(json.dumps(entry) + "\n" for entry in ordered))
    replayed = neuralos("ctl", "replay", tour.run, "--ledger", export, "--json")
    assert replayed.status == 1
    assert replayed.json["first_divergence"]["step"] == was
    assert replayed.json["first_divergence"]["field"] == "lr"
    assert replayed.json["identical"] == was - 1


def test_the_tour_continues_its_run(tour: Tour) -> None:
    before = len(steps(tour.run))
    ledger_before = RunFolder(tour.run).ledger.read_bytes()
    with running("live", "--headless", "--for", "10m", "--run", tour.run, "--json") as live:
        until(lambda: len(steps(tour.run)) > before, "a new step")
        again = live.end()
    assert again.status == 130, again.stderr
    assert again.json["steps"] > before
    assert RunFolder(tour.run).ledger.read_bytes().startswith(ledger_before)


def test_a_finished_run_is_served_and_an_agent_finds_nothing_to_do(tour: Tour) -> None:
    with running("serve", tour.run, "--json") as server:
        until(lambda: standing_url(tour.run), "the server")
        told = neuralos("ctl", "status", tour.run, "--json").json
        assert told["step"] == steps(tour.run)[-1].step
        page = httpx.get(told["url"])
        assert page.status_code == 200
        assert "<title>" in page.text
        agent = neuralos("agent", "rule", tour.run, "--for", "1s", "--json")
        assert agent.status == 0, agent.stderr
        assert agent.json["proposals"] == 0
        done = server.end()
    assert done.status == 130
    assert done.json == {"schema": "neuralos.serve/1", "url": told["url"]}


def standing_url(run: Path) -> str | None:
    """Return the address of the run's server, once it answers."""
    found: str | None = status(run)["url"]
    return found


def test_a_checkpoint_is_played_and_nothing_is_recorded(tour: Tour, tmp_path: Path) -> None:
    checkpoint = newest_checkpoint(tour.run)
    out = tmp_path / "traces"
    played = neuralos(
        *("play", checkpoint, "--for", "12s", "--out", out, "--json"),
        env={"SDL_VIDEODRIVER": "dummy"},
    )
    assert played.status == 0, played.stderr
    assert (played.json["frames"], played.json["clips"]) == (0, 0)
    assert list(out.glob("*.mcap")) == []
