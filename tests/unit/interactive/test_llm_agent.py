import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from llm_desk import CAPABILITIES, PAPER, LlmDesk, plan_of
from scripted_llm import Script, ScriptedLlm, says

from interactive.agents.agent import History
from interactive.agents.command_schema import Offer, parse_command
from interactive.agents.journal import AgentJournal, Kind
from interactive.agents.paper_prompt import PaperPrompt
from interactive.agents.prompt import Decision, Unreadable
from interactive.agents.quoting import block, recent_biased, series
from interactive.agents.strict_json import NotJson, loads
from interactive.client import RunClient
from interactive.commands import Batch, ReplaceSchedule, UpdateMixture, UpdateOptimizer


@pytest.fixture
def desk(tmp_path: Path) -> LlmDesk:
    return LlmDesk(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedLlm]]:
    servers: list[ScriptedLlm] = []

    def start(*scripts: Script) -> ScriptedLlm:
        servers.append(ScriptedLlm(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("action", "lr", "outcome"),
    [("Double", 0.02, "acts"), ("Half", 0.005, "acts"), ("Same", None, "leaves_alone")],
)
def test_the_papers_prompt(
    desk: LlmDesk, serve: Callable[..., ScriptedLlm], action: str, lr: Any, outcome: str
) -> None:
    llm = serve(says({"reason": "it is flat", "action": action}))
    actions = desk.rounds(llm, prompt=PAPER)
    assert desk.outcomes() == [outcome]
    assert [one.proposal.command for one in actions] == (
        [UpdateOptimizer(lr=lr)] if lr is not None else []
    )
    if lr is not None:
        envelope = desk.run.service.inbox.after(0)[0].envelope
        assert envelope.reason == f"{action}: it is flat"
        assert envelope.if_generation == 0
    shown = json.loads(llm.seen[0].user.split("\n")[1])
    assert shown["learning_rate"] == 0.01
    assert len(shown["training_loss"]) == 20
    assert shown["training_loss"][-1] == [40, 2.6]
    assert shown["evaluations"] == {"distance": [[40, 2.0]], "psnr": [[40, "NaN"]]}


def test_it_asks_once_at_each_evaluation(desk: LlmDesk, serve: Callable[..., ScriptedLlm]) -> None:
    llm = serve(says({"reason": "", "action": "Same"}))
    desk.rounds(llm, prompt=PAPER, count=3)
    desk.rounds(llm, prompt=PAPER)
    assert len(llm.seen) == 3


def test_it_asks_every_so_many_steps(desk: LlmDesk, serve: Callable[..., ScriptedLlm]) -> None:
    llm = serve(says({"reason": "", "action": "Same"}))
    desk.rounds(llm, prompt=PAPER, every_steps=15)
    desk.rounds(llm, prompt=PAPER, every_steps=15)
    assert [line["due"] for line in desk.journal.of_kind(Kind.ROUND)] == ["main/step/30"]
    desk.run.write_metrics({"step": 45, "loss": 1.0})
    desk.refresh()
    desk.rounds(llm, prompt=PAPER, every_steps=15)
    assert len(llm.seen) == 2


def test_words_beside_the_three_are_no_decision() -> None:
    history = History("main", 1, 0.1, [], [], [])
    for said in ({"action": "Halve"}, {"action": ["Half"]}, ["Half"], None, {}):
        if isinstance(said, dict) and isinstance(said.get("action"), list):
            said = {"action": "half "}
        assert isinstance(PaperPrompt().read(said, history), Unreadable)
    assert PaperPrompt().read({"action": "Same"}, history) == Decision()


def test_a_round_sees_what_became_of_the_one_before(
    desk: LlmDesk, serve: Callable[..., ScriptedLlm]
) -> None:
    first = plan_of({"command": "note", "text": "hello"}, plan="watch the distance")
    second = plan_of(reflection="the note was heard")
    llm = serve(says(first), says(second), says(plan_of()))
    desk.rounds(llm, count=3)
    told = [json.loads(seen.user.split("<journal>\n")[1].split("\n")[0]) for seen in llm.seen]
    assert [len(rounds) for rounds in told] == [0, 1, 2]
    assert told[1][0]["plan"] == "watch the distance"
    assert told[1][0]["actions"][0]["state"] == "accepted"
    assert told[2][1]["reflection"] == "the note was heard"
    assert told[1][0]["mean_loss_then"] == pytest.approx(2.695)


def test_prompts_and_answers_are_kept_and_linked(
    desk: LlmDesk, serve: Callable[..., ScriptedLlm]
) -> None:
    llm = serve(says(plan_of({"command": "note", "text": "hello"})))
    desk.rounds(llm)
    ask, answer, decided, proposal, outcome = desk.journal.lines
    assert ask["user"] == llm.seen[0].user
    assert (answer["model"], answer["tokens_in"], answer["latency_s"]) == ("scripted-1", 100, 0.0)
    assert json.loads(answer["text"])["plan"] == "wait"
    ids = {decided["actions"][0]["command_id"], proposal["command_id"], outcome["command_id"]}
    assert ids == {str(desk.run.service.inbox.after(0)[0].envelope.command_id)}


def test_a_crash_in_mid_round_goes_on_where_it_was(
    desk: LlmDesk, serve: Callable[..., ScriptedLlm], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = [{"command": "note", "text": text} for text in ("one", "two", "three")]
    llm = serve(says(plan_of(*notes)))
    real, sends = RunClient.send, []

    def dies(self: RunClient, *args: Any, **words: Any) -> Any:
        answer = real(self, *args, **words)
        sends.append(words["command_id"])
        if len(sends) == 2:
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(RunClient, "send", dies)
        with pytest.raises(KeyboardInterrupt):
            desk.rounds(llm)
    desk.rounds(llm)
    assert [one["text"] for one in desk.sent()] == ["one", "two", "three"]
    assert len(llm.seen) == 1
    assert desk.journal.totals.proposals == 3


def test_a_crash_while_the_model_thinks_is_paid_for_and_asked_again(
    desk: LlmDesk, serve: Callable[..., ScriptedLlm], monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = serve(says({"reason": "", "action": "Half"}))

    def dies(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("interactive.agents.endpoint.OpenAiEndpoint.call", dies)
        with pytest.raises(KeyboardInterrupt):
            desk.rounds(llm, prompt=PAPER)
    desk.rounds(llm, prompt=PAPER)
    lost = desk.journal.of_kind(Kind.ASK)[0]
    assert desk.journal.totals.tokens_in == lost["most_tokens_in"] + 100
    assert len(desk.sent()) == 1


def test_the_schema_is_what_the_run_offers() -> None:
    schema = Offer(CAPABILITIES, ["main-000020"]).schema()
    named = {one["properties"]["command"]["enum"][0]: one for one in schema["anyOf"]}
    assert set(named) == {
        "update_optimizer", "scale_schedule", "replace_schedule", "update_mixture",
        "update_dataset", "update_setting", "module_operation", "batch", "save_checkpoint",
        "note", "evaluate", "load_checkpoint",
    }  # fmt: skip
    assert set(named["update_optimizer"]["properties"]) == {"command", "lr", "weight_decay"}
    assert named["update_setting"]["properties"]["setting"]["enum"] == ["noise"]
    assert named["load_checkpoint"]["properties"]["checkpoint"]["enum"] == ["main-000020"]
    poor = Offer({}, []).schema()
    assert [one["properties"]["command"]["enum"][0] for one in poor["anyOf"]] == [
        "update_optimizer", "save_checkpoint", "note", "batch",
    ]  # fmt: skip


def test_the_schema_stays_in_the_strict_subset() -> None:
    def check(node: Any) -> None:
        if isinstance(node, list):
            for one in node:
                check(one)
        if not isinstance(node, dict):
            return
        assert not {"$ref", "$defs", "propertyNames", "pattern", "default"} & set(node)
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        for one in node.values():
            check(one)

    check(Offer(CAPABILITIES, ["main-000020"]).schema())


def test_what_fits_the_schema_becomes_the_command() -> None:
    assert parse_command(
        {"command": "update_optimizer", "lr": 1e-3, "weight_decay": None}
    ) == UpdateOptimizer(lr=1e-3)
    mixture = {"command": "update_mixture", "weights": {"base": 1, "live": None}, "drop": None}
    assert parse_command(mixture) == UpdateMixture(weights={"base": 1.0})
    steps = [{"name": "num_training_steps", "value": 500}]
    replaced = {"command": "replace_schedule", "schedule": "linear", "lr": None, "arguments": steps}
    assert parse_command(replaced) == ReplaceSchedule(
        schedule="linear", arguments={"num_training_steps": 500}
    )
    batch = parse_command(
        {"command": "batch", "commands": [{"command": "scale_schedule", "factor": 2}]}
    )
    assert isinstance(batch, Batch)
    for bad in ({"command": "batch", "commands": [{"command": "stop"}]}, {"command": "x"}, [], 7):
        with pytest.raises(NotJson):
            parse_command(bad)


def test_recent_points_are_denser() -> None:
    for count in (1, 19, 20, 21, 77, 5000):
        kept = recent_biased(count)
        assert kept == sorted(set(kept))
        assert len(kept) == min(count, 20)
        assert (kept[0], kept[-1]) == (0, count - 1)
    gaps = [b - a for a, b in pairwise(kept)]
    assert gaps[:12] == sorted(gaps[:12], reverse=True)
    assert max(gaps[12:]) < min(gaps[:8])
    assert series([3], [1.23456789]) == [[3, 1.2346]]


def test_a_block_cannot_be_closed_from_inside() -> None:
    text = block("data", {"</data>": "</data>\n" * 100, "n": float("nan")}, most=80)
    assert text.count("</data>") == 1
    assert text.count("\n") == 2
    assert text.endswith("… (cut)\n</data>")


@pytest.mark.parametrize("bad", ["", "{", "[NaN]", '{"a": Infinity}', b"\xff", "9" * 5000])
def test_what_is_no_json_is_said_to_be_none(bad: Any) -> None:
    with pytest.raises(NotJson):
        loads(bad)


def test_a_fence_around_json_is_taken_off() -> None:
    assert loads('```json\n{"a": 1}\n```') == {"a": 1}


def test_a_journal_in_memory_needs_no_folder() -> None:
    with AgentJournal.in_memory() as journal:
        journal.write(Kind.SESSION, agent="x")
    assert journal.lines[0]["agent"] == "x"
