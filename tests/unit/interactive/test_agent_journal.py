from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from served_run import Clock, ServedRun

from interactive.agents.agent import History, Proposal
from interactive.agents.budget import Budget, Limits
from interactive.agents.journal import AgentBusy, AgentJournal, Kind
from interactive.agents.runner import AgentRunner, RunnerConfig
from interactive.client import CommandAnswer, RunClient, new_command_id
from interactive.commands import Pause, UpdateOptimizer
from interactive.outcome import CommandState
from interactive.policy import Role


class Counts:
    """Proposes a learning rate of its own at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def observe(self, history: History) -> Proposal | None:
        self.looks += 1
        return Proposal(UpdateOptimizer(lr=1e-4 * self.looks), f"look {self.looks}")


class Dies(Exception):
    pass


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run/agents/one"


def runner_of(
    run: ServedRun, agent: Any, journal: AgentJournal, sleep: Any = lambda s: None, **limits: Any
) -> AgentRunner:
    client = RunClient(run.client(Role.AGENT), clock=lambda: 0.0)
    budget = Budget(Limits(**limits), journal)
    config = RunnerConfig(wait_s=0.0)
    return AgentRunner(client, agent, config, sleep, new_command_id, journal, budget)


def test_what_was_about_to_be_sent_is_sent_once_after_a_crash(
    run: ServedRun, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: AgentJournal, answer: CommandAnswer) -> None:
        raise Dies

    with monkeypatch.context() as patched, AgentJournal.open(folder, Clock()) as journal:
        patched.setattr(AgentJournal, "conclude", die)
        with pytest.raises(Dies):
            runner_of(run, Counts(), journal).look()
    assert run.service.inbox.head == 1
    with AgentJournal.open(folder, Clock()) as journal:
        again = Counts()
        action = runner_of(run, again, journal).look()
    assert action is not None
    assert (action.proposal.reason, action.answer.seq, again.looks) == ("look 1", 1, 0)
    assert run.service.inbox.head == 1
    sent = run.service.inbox.after(0)[0].envelope
    assert str(sent.command_id) == journal.of_kind(Kind.PROPOSAL)[0]["command_id"]
    assert [line["kind"] for line in journal.lines] == ["proposal", "outcome"]


def test_what_died_before_it_was_sent_is_sent_after_it(
    run: ServedRun, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: Any, **words: Any) -> CommandAnswer:
        raise Dies

    with monkeypatch.context() as patched, AgentJournal.open(folder, Clock()) as journal:
        patched.setattr(RunClient, "send", die)
        with pytest.raises(Dies):
            runner_of(run, Counts(), journal).look()
    assert run.service.inbox.head == 0
    with AgentJournal.open(folder, Clock()) as journal:
        runner_of(run, Counts(), journal).look()
    assert [one.envelope.reason for one in run.service.inbox.after(0)] == ["look 1"]


def test_a_budget_of_actions_holds_across_restarts(run: ServedRun, folder: Path) -> None:
    ended = []
    for _ in range(3):
        with AgentJournal.open(folder, Clock()) as journal:
            runner = runner_of(run, Counts(), journal, actions=3)
            list(islice(runner.run(), 2))
            ended.append(runner.ended)
    assert run.service.inbox.head == 3
    assert ended == ["", "actions", "actions"]
    assert journal.totals.proposals == 3


def test_a_budget_of_time_holds_across_restarts(run: ServedRun, folder: Path) -> None:
    clock = Clock()
    for _ in range(2):
        with AgentJournal.open(folder, clock) as journal:
            journal.write(Kind.SESSION)
            clock.now_s += 40
            journal.write(Kind.END)
        clock.now_s += 1000
    with AgentJournal.open(folder, clock) as journal:
        journal.write(Kind.SESSION)
        budget = Budget(Limits(wall_s=100), journal)
        assert (journal.wall_used_s(), budget.spent()) == (80, None)
        clock.now_s += 20
        assert budget.spent() == "wall_s"


def test_tokens_and_money_are_counted_also_where_no_answer_was_seen(folder: Path) -> None:
    with AgentJournal.open(folder, Clock()) as journal:
        journal.write(Kind.ASK, most_tokens_in=1000, most_tokens_out=500)
        journal.write(Kind.ANSWER, tokens_in=900, tokens_out=100)
        journal.write(Kind.ASK, most_tokens_in=1000, most_tokens_out=500)
    with AgentJournal.open(folder, Clock()) as journal:
        totals = journal.totals
        assert (totals.calls, totals.tokens_in, totals.tokens_out) == (2, 1900, 600)
        prices = {"price_in": 1.0, "price_out": 10.0}
        assert Budget(Limits(), journal).money == 0
        assert Budget(Limits(**prices), journal).money == pytest.approx(0.0079)
        tight = Budget(Limits(tokens=3000), journal)
        assert tight.allows_call(400, 100)
        assert not tight.allows_call(400, 101)
        assert tight.spent() == "tokens"
        dear = Budget(Limits(money=0.01, **prices), journal)
        assert not dear.allows_call(400, 200)
        assert dear.spent() == "money"
    with pytest.raises(ValueError, match="price"):
        Limits(money=1.0)


def test_one_process_writes_a_journal(folder: Path) -> None:
    with AgentJournal.open(folder, Clock()), pytest.raises(AgentBusy):
        AgentJournal.open(folder, Clock())
    AgentJournal.open(folder, Clock()).close()


def test_halted_agents_are_not_asked(run: ServedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    real, halted, seen = RunClient.status, iter([True, True, False]), []

    def status(self: RunClient) -> dict[str, Any]:
        return {**real(self), "agents_halted": next(halted, False)}

    monkeypatch.setattr(RunClient, "status", status)
    agent = Counts()
    journal = AgentJournal.in_memory()
    runner = runner_of(run, agent, journal, sleep=lambda s: seen.append(agent.looks), actions=1)
    assert len(list(runner.run())) == 1
    assert seen == [0, 0, 1]


def test_refusals_slow_an_agent_down(run: ServedRun) -> None:
    class Forbidden:
        def observe(self, history: History) -> Proposal | None:
            return Proposal(Pause(), "no")

    slept: list[float] = []
    runner = runner_of(run, Forbidden(), AgentJournal.in_memory(), sleep=slept.append, actions=8)
    actions = list(runner.run())
    assert {action.answer.state for action in actions} == {CommandState.REJECTED}
    assert slept == [4, 8, 16, 32, 64, 64, 64, 64]
    assert (runner.tally.proposals, runner.tally.refused) == (8, 8)
