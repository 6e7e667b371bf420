import asyncio
import math
import random
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_run import ServedRun

from interactive.agents.agent import History, Proposal
from interactive.agents.rules import HalveOnPlateau, PlateauConfig
from interactive.agents.runner import AgentRunner, RunnerConfig
from interactive.client import RunClient, ServerUnreachable, new_command_id
from interactive.commands import Pause, UpdateOptimizer
from interactive.outcome import CommandState
from interactive.policy import Role
from interactive.record.ledger import Entry, EntryKind

CONFIG = PlateauConfig(window=20, patience=3, factor=0.5, min_lr=1e-5, threshold=0.01)


def noise(steps: int, level: float, slope: float = 0.0) -> list[float]:
    rng = random.Random(3)
    return [level - slope * i + rng.gauss(0, 0.01) for i in range(steps)]


def history(
    losses: list[float], lr: float | None = 1e-3, entries: tuple[Entry, ...] = ()
) -> History:
    steps = range(1, len(losses) + 1)
    return History("main", len(losses), lr, list(steps), losses, entries)


def lr_change(step: int, state: str = "applied", branch: str = "main") -> Entry:
    body = {"command": {"command": "update_optimizer", "lr": 1e-3}, "state": state}
    return Entry(0, step, branch, EntryKind.INTERVENTION, 0.0, body)


def test_a_falling_loss_is_left_alone() -> None:
    assert HalveOnPlateau(CONFIG).observe(history(noise(200, 2.0, slope=0.005))) is None


def test_a_plateau_halves_the_learning_rate_and_says_why() -> None:
    losses = noise(100, 2.0, slope=0.01) + noise(80, 1.0)
    proposal = HalveOnPlateau(CONFIG).observe(history(losses))
    assert proposal is not None
    assert proposal.command == UpdateOptimizer(lr=5e-4)
    for evidence in ("plateau", "step 180", "0.001", "0.0005"):
        assert evidence in proposal.reason


def test_a_rising_loss_is_no_improvement() -> None:
    assert HalveOnPlateau(CONFIG).observe(history(noise(100, 1.0, slope=-0.01))) is not None


def test_it_waits_for_enough_steps() -> None:
    assert HalveOnPlateau(CONFIG).observe(history(noise(79, 1.0))) is None
    assert HalveOnPlateau(CONFIG).observe(history(noise(80, 1.0))) is not None


def test_it_counts_from_the_last_change_on_this_branch() -> None:
    rule, losses = HalveOnPlateau(CONFIG), noise(200, 1.0)
    assert rule.observe(history(losses, entries=(lr_change(150),))) is None
    assert rule.observe(history(losses, entries=(lr_change(121),))) is not None
    assert rule.observe(history(losses, entries=(lr_change(150, "rejected"),))) is not None
    assert rule.observe(history(losses, entries=(lr_change(150, branch="b"),))) is not None


def test_it_stops_at_the_lowest_learning_rate() -> None:
    rule, losses = HalveOnPlateau(CONFIG), noise(100, 1.0)
    last = rule.observe(history(losses, lr=1.5e-5))
    assert last is not None
    assert last.command == UpdateOptimizer(lr=1e-5)
    assert rule.observe(history(losses, lr=1e-5)) is None
    assert rule.observe(history(losses, lr=None)) is None


def test_it_does_not_judge_what_is_no_number() -> None:
    losses = noise(100, 1.0)
    losses[90] = math.nan
    assert HalveOnPlateau(CONFIG).observe(history(losses)) is None


@pytest.mark.parametrize("bad", [{"window": 0}, {"patience": 0}, {"factor": 1.0}, {"factor": 0.0}])
def test_numbers_that_make_no_rule_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        PlateauConfig(**bad)


class Always:
    """Proposes the same at every look."""

    def __init__(self, command: Any = None) -> None:
        self.command = command or UpdateOptimizer(lr=1e-4)
        self.seen: list[History] = []

    def observe(self, history: History) -> Proposal | None:
        self.seen.append(history)
        return Proposal(self.command, "because")


def runner_of(run: ServedRun, http: Any, agent: Any, **config: Any) -> AgentRunner:
    client = RunClient(http, clock=lambda: 0.0)
    settings = RunnerConfig(**{"wait_s": 0.0, **config})
    return AgentRunner(client, agent, settings, lambda s: None, new_command_id)


@pytest.fixture
def run(tmp_path: Path) -> ServedRun:
    return ServedRun(tmp_path / "run")


def test_the_runner_shows_the_run_and_keeps_its_budget(run: ServedRun) -> None:
    run.write_entry("mark", mark=4)
    run.write_metrics({"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0})
    agent = Always()
    with run.client(Role.AGENT) as http:
        runner = runner_of(run, http, agent, max_actions=3)
        actions = [action.answer for action in islice(runner.run(), 9)]
    assert [(one.seq, one.state) for one in actions] == [
        (1, CommandState.ACCEPTED),
        (2, CommandState.ACCEPTED),
        (3, CommandState.ACCEPTED),
    ]
    assert runner.tally.proposals == 3
    assert run.service.inbox.after(0)[0].envelope.reason == "because"
    assert run.service.inbox.after(0)[0].issuer.name == "agent"


def test_an_agent_sees_the_losses_and_the_ledger(run: ServedRun) -> None:
    run.write_entry("mark", mark=4)
    run.write_metrics({"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0})
    asyncio.run(run.service.refresh())
    agent = Always()
    with run.client(Role.AGENT) as http:
        runner_of(run, http, agent, look_back=1).look()
    seen = agent.seen[0]
    assert (seen.steps, seen.losses) == ((2,), (1.0,))
    assert [entry.kind for entry in seen.entries] == [EntryKind.MARK]


def test_what_an_agent_may_not_do_is_counted_as_refused(run: ServedRun) -> None:
    with run.client(Role.AGENT) as http:
        runner = runner_of(run, http, Always(Pause()), max_actions=2)
        codes = [action.answer.code for action in islice(runner.run(), 9)]
    assert codes == ["forbidden", "forbidden"]
    assert (runner.tally.applied, runner.tally.refused) == (0, 2)


def test_the_runner_ends_with_the_run(run: ServedRun) -> None:
    with run.client(Role.AGENT) as http, run.client(Role.TRAINER, run.app) as trainer:
        trainer.post("/api/heartbeat", json={"state": "stopped"})
        assert list(runner_of(run, http, Always()).run()) == []


class Flaky(httpx.BaseTransport):
    """Loses the answers to some requests, after the server has acted on them."""

    def __init__(self, inner: Any, lost: list[str]) -> None:
        self.inner, self.lost = inner, lost

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        got = self.inner.request(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers)
        )
        if self.lost and request.url.path == self.lost[0]:
            self.lost.pop(0)
            raise httpx.ReadError("lost")
        return httpx.Response(got.status_code, content=got.content)


def test_a_lost_answer_does_not_double_a_command(run: ServedRun) -> None:
    headers = {"Authorization": f"Bearer {run.tokens.secret_of[Role.AGENT]}"}
    agent = Always()
    with run.client(Role.AGENT) as inner:
        flaky = Flaky(inner, ["/api/commands", "/api/status"])
        http = httpx.Client(transport=flaky, base_url="http://127.0.0.1", headers=headers)
        runner = runner_of(run, http, agent, max_actions=1)
        assert [action.answer.seq for action in islice(runner.run(), 9)] == [1]
    assert run.service.inbox.head == 1
    assert len(agent.seen) == 1


def test_a_server_that_stays_away_ends_the_runner(run: ServedRun) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    http = httpx.Client(transport=httpx.MockTransport(away), base_url="http://127.0.0.1")
    with pytest.raises(ServerUnreachable):
        list(runner_of(run, http, Always(), max_unreachable=3).run())
