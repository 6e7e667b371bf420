"""What a boundary makes of commands, data and cadences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from boundary_runs import (
    EVALUATE,
    LR,
    NOTE,
    PAUSE,
    RESUME,
    SAVE,
    STOP,
    at,
    failures,
    interventions,
    rows,
    steer,
)

from interactive.record.data_log import DataLog
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from interactive.steering.session import open_session
from interactive.steering.source import parse_delivered
from interactive.steering.steered import Status
from tests.fakes import (
    FakeTrainer,
    ScriptedSource,
    World,
    build_fake_trainer,
    data_row,
    delivered,
    make_run,
    run_session,
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


def test_a_new_lr_shows_from_the_step_that_its_entry_names(folder: RunFolder) -> None:
    steer(folder, at(4, delivered(1, LR, reason="too fast")))
    (entry,) = interventions(folder)
    assert (entry.step, entry.branch, entry.body["state"]) == (5, "main", "applied")
    assert entry.body["old"] == {"lr": 0.05}
    assert entry.body["effective"] == {"lr": 0.01}
    assert (entry.body["inbox_seq"], entry.body["reason"]) == (1, "too fast")
    assert entry.body["issuer"] == {"name": "operator", "kind": "person"}
    assert [row.lr for row in rows(folder)] == [0.05] * 4 + [0.01] * 4


def test_the_entry_is_durable_before_the_change_is_made(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_fake_trainer(folder.config, folder.path)
    seen = []

    def look(self: FakeTrainer, verb: str) -> None:
        if verb == "apply":
            seen.append([e.body["effective"] for e in interventions(folder)])

    monkeypatch.setattr(FakeTrainer, "_break", look)
    world = at(2, delivered(1, LR))
    run_session(folder, world, cadence=Cadence(end_step=4), trainer=trainer)
    assert seen == [[{"lr": 0.01}]]


@pytest.mark.parametrize(
    ("command", "extra", "state", "code"),
    [
        ({"command": "update_optimizer", "lr": 1e9}, {}, "rejected", "out_of_bounds"),
        ({"command": "update_optimizer", "beta1": 0.5}, {}, "rejected", "unsupported"),
        ({"command": "update_mixture", "weights": {"x": 1.0}}, {}, "rejected", "unknown_source"),
        (
            {"command": "load_checkpoint", "checkpoint": "nope"},
            {},
            "rejected",
            "unknown_checkpoint",
        ),
        ({"command": "evaluate", "evaluation": "nope"}, {}, "rejected", "unknown_evaluation"),
        (LR, {"if_generation": 7}, "rejected", "stale_generation"),
        (LR, {"at_step": 2}, "rejected", "step_passed"),
        (LR, {"expires_at_step": 3}, "expired", "expired"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_hint(
    folder: RunFolder, command: Any, extra: Any, state: str, code: str
) -> None:
    trainer = steer(folder, at(4, delivered(1, command, **extra)))
    (entry,) = interventions(folder)
    assert (entry.body["state"], entry.body["code"]) == (state, code)
    assert entry.body["hint"]
    assert trainer.step == 8
    assert {row.lr for row in rows(folder)} == {0.05}


@pytest.mark.parametrize("lr", [-1e-3, 0, math.nan, math.inf, "fast", None, [1]])
def test_a_command_that_makes_no_sense_is_recorded_and_harms_nothing(
    folder: RunFolder, lr: Any
) -> None:
    sent = parse_delivered(
        {
            "seq": 1,
            "issuer": {"name": "operator", "kind": "person"},
            "envelope": {
                "command_id": str(UUID(int=1)),
                "command": {"command": "update_optimizer", "lr": lr},
            },
        }
    )
    trainer = steer(folder, at(4, sent))
    (entry,) = interventions(folder)
    assert (entry.body["command_id"], entry.body["code"]) == (str(UUID(int=1)), "malformed")
    assert trainer.step == 8


@pytest.mark.parametrize("envelope", [None, 3, "x", [], {}, {"command": "pause"}])
def test_an_envelope_of_any_shape_is_met_once(folder: RunFolder, envelope: Any) -> None:
    issuer = {"name": "operator", "kind": "person"}
    sent = parse_delivered({"seq": 5, "issuer": issuer, "envelope": envelope})
    steer(folder, at(2, sent, sent))
    assert [e.body["command_id"] for e in interventions(folder)] == ["inbox-5"]


def test_the_same_id_takes_effect_once(folder: RunFolder) -> None:
    same = UUID(int=9)
    first, again = delivered(1, LR, command_id=same), delivered(2, LR, command_id=same)
    steer(folder, World(commands={("main", 2): [first], ("main", 4): [again]}))
    assert [e.step for e in interventions(folder)] == [3]


def test_commands_meet_in_inbox_order_and_generations_guard(folder: RunFolder) -> None:
    steer(
        folder,
        at(
            2,
            delivered(2, {**LR, "lr": 0.02}, if_generation=1),
            delivered(1, LR, if_generation=0),
            delivered(3, LR, if_generation=1),
        ),
    )
    states = [(e.body["inbox_seq"], e.body["state"]) for e in interventions(folder)]
    assert states == [(1, "applied"), (2, "applied"), (3, "rejected")]
    assert rows(folder)[-1].lr == 0.02


def test_a_command_for_a_later_step_waits_for_it(folder: RunFolder) -> None:
    steer(folder, at(1, delivered(1, LR, at_step=6), delivered(2, NOTE)))
    assert [(e.body["inbox_seq"], e.step) for e in interventions(folder)] == [(2, 2), (1, 6)]
    assert [row.lr for row in rows(folder)] == [0.05] * 5 + [0.01] * 3


def test_a_command_that_expires_while_it_waits_is_recorded(folder: RunFolder) -> None:
    steer(folder, at(1, delivered(1, LR, at_step=7, expires_at_step=4)))
    (entry,) = interventions(folder)
    assert (entry.step, entry.body["state"]) == (5, "expired")


def test_commands_are_served_while_paused(folder: RunFolder) -> None:
    world = at(3, delivered(1, PAUSE))
    world.while_held = [delivered(2, LR), delivered(3, EVALUATE), delivered(4, RESUME)]
    trainer = steer(folder, world)
    assert [e.step for e in interventions(folder)] == [4, 4, 4, 4]
    assert trainer.evaluations_made == 1
    assert [row.lr for row in rows(folder)] == [0.05] * 3 + [0.01] * 5


def test_stop_saves_and_a_new_session_goes_on(folder: RunFolder) -> None:
    world = at(3, delivered(1, STOP), delivered(2, LR))
    steer(folder, world)
    assert rows(folder)[-1].step == 3
    assert [e.kind for e in read_ledger(folder.ledger)][-2:] == [
        EntryKind.INTERVENTION,
        EntryKind.CHECKPOINT,
    ]
    steer(folder, world)
    assert [row.step for row in rows(folder)] == list(range(1, 9))
    assert [row.lr for row in rows(folder)] == [0.05] * 3 + [0.01] * 5


def test_a_run_stopped_while_paused_goes_on_when_started_again(folder: RunFolder) -> None:
    world = at(3, delivered(1, PAUSE), delivered(2, STOP))
    steer(folder, world)
    assert rows(folder)[-1].step == 3
    assert steer(folder, world).step == 8


def test_the_end_that_a_signal_asks_for_leaves_a_checkpoint_and_no_stop(folder: RunFolder) -> None:
    steer(folder, World(), end=5)
    kinds = [e.kind for e in read_ledger(folder.ledger)]
    assert kinds == [EntryKind.SESSION, EntryKind.CHECKPOINT]


def test_loading_opens_a_branch_and_brings_back_what_the_checkpoint_held(
    folder: RunFolder,
) -> None:
    world = World(
        commands={
            ("main", 3): [delivered(1, SAVE)],
            ("main", 4): [delivered(2, LR)],
            ("main", 6): [
                delivered(3, {"command": "load_checkpoint", "checkpoint": "main-000003"})
            ],
        },
        rows={("main", 1): [data_row(1)], ("main", 5): [data_row(2)]},
    )
    steer(folder, world)
    load = interventions(folder)[-1]
    assert (load.branch, load.step) == ("main", 7)
    assert load.body["effective"] == {
        "branch": "b1",
        "checkpoint": "main-000003",
        "step": 3,
        "mark": 1,
    }
    assert load.body["old"] == {"branch": "main", "step": 6}
    after = read_ledger(folder.ledger)[load.seq + 1]
    assert (after.kind, after.branch, after.step, after.body["mark"]) == (
        EntryKind.MARK,
        "b1",
        4,
        2,
    )
    branch = [row for row in rows(folder) if row.branch == "b1"]
    assert [row.step for row in branch] == [4, 5, 6, 7, 8]
    assert {row.lr for row in branch} == {0.05}
    assert {row.mark for row in branch} == {2}


@pytest.mark.parametrize(("name", "code"), [("main", "branch_exists"), ("x" * 60, "out_of_bounds")])
def test_a_branch_name_must_be_free(folder: RunFolder, name: str, code: str) -> None:
    load = {"command": "load_checkpoint", "checkpoint": "main-000002", "branch": name}
    steer(folder, at(2, delivered(1, SAVE), delivered(2, load)))
    assert interventions(folder)[-1].body["code"] == code
    assert {row.branch for row in rows(folder)} == {"main"}


def test_frozen_intake_adopts_no_mark_until_it_is_thawed(folder: RunFolder) -> None:
    freeze = {"command": "update_mixture", "live_intake": False}
    thaw = {"command": "update_mixture", "live_intake": True}
    world = World(
        commands={("main", 2): [delivered(1, freeze)], ("main", 6): [delivered(2, thaw)]},
        rows={("main", 1): [data_row(1)], ("main", 3): [data_row(2)], ("main", 4): [data_row(3)]},
    )
    steer(folder, world)
    assert [row.mark for row in rows(folder)] == [0, 1, 1, 1, 1, 1, 3, 3]


def test_a_run_without_data_waits_for_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", min_rows=2)
    world = World(rows={("main", 0): [data_row(1), data_row(2)]})
    assert steer(folder, world).step == 8
    assert read_ledger(folder.ledger)[1].body["mark"] == 2


def test_the_cadence_saves_evaluates_and_prunes(folder: RunFolder) -> None:
    world = at(2, delivered(1, SAVE))
    trainer = steer(folder, world, end=10, checkpoint_every=3, evaluate_every=4, keep_checkpoints=2)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == [
        "main-000002",
        "main-000009",
        "main-000010",
    ]
    evaluations = [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.EVALUATION]
    assert [e.step for e in evaluations] == [5, 9]
    assert trainer.evaluations_made == 2


def test_a_checkpoint_that_a_branch_came_from_is_never_pruned(folder: RunFolder) -> None:
    load = {"command": "load_checkpoint", "checkpoint": "main-000002"}
    steer(folder, at(3, delivered(1, load)), checkpoint_every=2, keep_checkpoints=1)
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == [
        "b1-000008",
        "main-000002",
    ]


def test_an_evaluation_of_the_cadence_that_fails_is_recorded(folder: RunFolder) -> None:
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer.failing["evaluate"] = RuntimeError("no frames")
    cadence = Cadence(end_step=5, evaluate_every=2)
    run_session(folder, World(), cadence=cadence, trainer=trainer)
    assert [(f.step, f.body["of"]) for f in failures(folder)] == [(3, None), (5, None)]
    assert trainer.step == 5


def test_not_a_number_is_data(folder: RunFolder) -> None:
    trainer = build_fake_trainer(folder.config, folder.path)
    trainer._weights[0] = math.nan
    run_session(folder, World(), cadence=Cadence(end_step=2), trainer=trainer)
    assert '"loss":"NaN"' in folder.metrics.read_text()
    assert all(math.isnan(row.loss) for row in rows(folder))


def test_a_state_changed_at_the_same_step_gets_a_checkpoint_of_its_own(folder: RunFolder) -> None:
    steer(folder, at(3, delivered(1, SAVE), delivered(2, LR), delivered(3, SAVE)), end=3)
    saved = [e.body["checkpoint"] for e in read_ledger(folder.ledger) if "checkpoint" in e.body]
    assert saved == ["main-000003", "main-000003.2"]


def test_the_status_tells_how_the_run_stands(folder: RunFolder) -> None:
    seen: list[Status] = []
    trainer = build_fake_trainer(folder.config, folder.path)

    class Watched(ScriptedSource):
        def wait(self, timeout_s: float) -> None:
            seen.append(session.status())
            super().wait(timeout_s)

    world = at(3, delivered(1, PAUSE), delivered(2, LR))
    world.while_held = [delivered(3, RESUME)]
    sources: list[Watched] = []

    def connect(data: DataLog) -> Watched:
        sources.append(Watched(world, data))
        return sources[0]

    with open_session(
        folder,
        trainer,
        open_source=connect,
        cadence=Cadence(end_step=5),
        clock=lambda: 0.0,
        warn=print,
    ) as session:
        is_live = True
        while is_live:
            sources[0].reach("main", trainer.step)
            is_live = session.cross()
            seen.append(session.status())
            if is_live:
                session.record(trainer.train_step())
    states = ["training"] * 3 + ["paused"] + ["training"] * 2 + ["stopped"]
    assert [status.state for status in seen] == states
    assert [status.step for status in seen] == [0, 1, 2, 3, 3, 4, 5]
    assert seen[3].settings["optimizer"] == {"lr": 0.01}
