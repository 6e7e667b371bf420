"""An LLM agent at a served run, with a scripted model at the other end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from scripted_llm import ScriptedLlm
from served_run import Clock, ServedRun

from interactive.agents.budget import Budget, Limits
from interactive.agents.conversation import Conversation, RetryConfig
from interactive.agents.endpoint import OpenAiEndpoint
from interactive.agents.journal import AgentJournal, Kind
from interactive.agents.llm import LlmAgent, RoundConfig
from interactive.agents.model import EndpointConfig
from interactive.agents.open_prompt import OpenPrompt
from interactive.agents.paper_prompt import PaperPrompt
from interactive.agents.prompt import Prompt
from interactive.agents.runner import Action, AgentRunner, RunnerConfig
from interactive.client import RunClient, new_command_id
from interactive.policy import Role

KEY = "sk-canary-5417"
CAPABILITIES = {
    "optimizer": ["lr", "weight_decay"],
    "groups": [],
    "schedules": ["constant", "linear"],
    "sources": ["base", "live"],
    "datasets": ["extra"],
    "settings": {"noise": {"kind": "number", "low": 0.0, "high": 1.0}},
    "operations": {"freeze": ["first", "second"]},
    "evaluations": ["rollout"],
}


class LlmDesk:
    """A run that stands at step 40 with one evaluation, and an agent that looks at it."""

    def __init__(self, path: Path) -> None:
        self.run = ServedRun(path / "run")
        self.folder = path / "run/agents/llm"
        self.clock = Clock()
        self.slept: list[float] = []
        self.run.write_entry("session", capabilities=CAPABILITIES, fingerprint={}, pid=1)
        self.run.write_metrics(
            *({"step": step, "loss": 3.0 - 0.01 * step, "lr": 0.01} for step in range(1, 41))
        )
        self.evaluate(41)

    def evaluate(self, step: int) -> None:
        """Let an evaluation be in the ledger, so that a round is due."""
        measures = {"distance": 2.0, "psnr": "NaN"}
        self.run.write_entry("evaluation", step, evaluation="rollout", measures=measures)
        self.refresh()

    def refresh(self) -> None:
        asyncio.run(self.run.service.refresh())

    def rounds(
        self,
        llm: ScriptedLlm,
        count: int = 1,
        prompt: Prompt | None = None,
        timeout_s: float = 5.0,
        limits: Limits | None = None,
        every_steps: int | None = None,
    ) -> list[Action]:
        """Take the agent up, let it look until nothing more is due, and put it down.

        After each of ``count`` rounds there is another evaluation.
        """
        actions = []
        config = EndpointConfig(llm.url, "scripted", timeout_s)
        with AgentJournal.open(self.folder, self.clock) as journal:
            budget = Budget(limits or Limits(), journal)
            endpoint = OpenAiEndpoint(config, KEY)
            talk = Conversation(
                endpoint, journal, budget, self.slept.append, self.clock, RetryConfig()
            )
            when = RoundConfig(every_steps=every_steps)
            agent = LlmAgent(talk, prompt or OpenPrompt(), journal, new_command_id, when)
            client = RunClient(self.run.client(Role.AGENT), clock=lambda: 0.0)
            runner = AgentRunner(
                client, agent, RunnerConfig(wait_s=0.0), self.slept.append, new_command_id,
                journal, budget,
            )  # fmt: skip
            self.journal = journal
            for number in range(count):
                if number:
                    self.evaluate(42 + number)
                while (action := runner.look()) is not None:
                    actions.append(action)
            self.spent = budget.spent()
        return actions

    def outcomes(self) -> list[str]:
        """Return the rounds' outcomes, in order."""
        return [line["outcome"] for line in self.journal.of_kind(Kind.ROUND)]

    def sent(self) -> list[dict[str, Any]]:
        """Return the commands in the inbox."""
        accepted = self.run.service.inbox.after(0)
        return [one.envelope.command.model_dump(exclude_none=True) for one in accepted]


PAPER = PaperPrompt()


def plan_of(*commands: Any, **more: Any) -> dict[str, Any]:
    """An answer to the open prompt."""
    actions = [{"reason": "because", "command": command} for command in commands]
    return {"reflection": "", "plan": "wait", "actions": actions, **more}
