"""An agent that asks a language model, in rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any
from uuid import UUID

from interactive.agents.agent import History, Proposal
from interactive.agents.conversation import Conversation
from interactive.agents.facts import evaluations
from interactive.agents.journal import AgentJournal, Kind, proposal_of
from interactive.agents.model import Answer
from interactive.agents.prompt import Decision, PastRound, Prompt, Unreadable
from interactive.agents.strict_json import NotJson, loads
from interactive.client import as_json

RECENT_LOSSES = 20


@dataclass(frozen=True, slots=True)
class RoundConfig:
    """When a round is due.

    Args:
        every_steps: every so many steps; None for each evaluation.
        first_step: none before this step.
    """

    every_steps: int | None = None
    first_step: int = 0


class LlmAgent:
    """Plans, acts and reflects in rounds; each ends with one outcome in the journal.

    A round asks the model once (with its retries), writes down what it decided, and hands
    the commands out one by one. All that it knows stands in the journal, so that a
    restart goes on in the middle of a round (arXiv 2607.18314).

    Args:
        conversation: asks the model.
        prompt: makes the question and reads the answer.
        journal: where rounds are written.
        new_id: makes command ids.
        config: when a round is due.
    """

    def __init__(
        self,
        conversation: Conversation,
        prompt: Prompt,
        journal: AgentJournal,
        new_id: Callable[[], UUID],
        config: RoundConfig,
    ) -> None:
        self._conversation = conversation
        self._prompt = prompt
        self._journal = journal
        self._new_id = new_id
        self._config = config

    def observe(self, history: History) -> Proposal | None:
        """Return the next command of the present round; begin a round if one is due."""
        waiting = self._waiting()
        if waiting is not None:
            return waiting
        due = self._due(history)
        rounds = self._journal.of_kind(Kind.ROUND)
        if due is None or (rounds and rounds[-1]["due"] == due):
            return None
        number = len(rounds) + 1
        question = self._prompt.ask(history, self._past(rounds))
        answer = self._conversation.ask(number, question)
        if answer.code == "budget_spent":
            return None
        self._conclude(number, due, history, answer)
        return self._waiting()

    def _waiting(self) -> Proposal | None:
        """Return the first action of the last round that was not yet sent."""
        sent = set()
        for line in reversed(self._journal.lines):
            if line["kind"] == Kind.PROPOSAL.value:
                sent.add(line["command_id"])
            if line["kind"] == Kind.ROUND.value:
                left = [one for one in line["actions"] if one["command_id"] not in sent]
                return proposal_of(left[0]) if left else None
        return None

    def _due(self, history: History) -> str | None:
        """Return the name of the round that is due by now."""
        if history.step < self._config.first_step or history.lr is None:
            return None
        every = self._config.every_steps
        if every is not None:
            number = history.step // every
            return f"{history.branch}/step/{number * every}" if number else None
        found = evaluations(history)
        return f"{history.branch}/evaluation/{found[-1].seq}" if found else None

    def _conclude(self, number: int, due: str, history: History, answer: Answer) -> None:
        """Write the round's one outcome."""
        code, hint, decision = answer.code, answer.hint, Decision()
        if answer.ok:
            read = self._read(answer.text, history)
            self._conversation.judge(isinstance(read, Decision))
            if isinstance(read, Unreadable):
                code, hint = read.code, read.hint
            else:
                code, decision = _outcome(read), read
        elif answer.code in ("malformed", "bad_content", "no_content", "truncated"):
            self._conversation.judge(False)
        actions = [replace(one, command_id=self._new_id()) for one in decision.actions]
        self._journal.write(
            Kind.ROUND,
            round=number,
            due=due,
            step=history.step,
            branch=history.branch,
            loss=fmean(history.losses[-RECENT_LOSSES:]) if history.losses else None,
            outcome=code,
            hint=hint,
            reflection=decision.reflection,
            plan=decision.plan,
            actions=[_line(one) for one in actions],
            invalid=[dict(one) for one in decision.invalid],
            dropped=decision.dropped,
        )

    def _read(self, text: str, history: History) -> Decision | Unreadable:
        try:
            said = loads(text)
        except NotJson as error:
            return Unreadable("malformed", str(error))
        return self._prompt.read(said, history)

    def _past(self, rounds: list[dict[str, Any]]) -> list[PastRound]:
        became = {line["command_id"]: line for line in self._journal.of_kind(Kind.OUTCOME)}
        return [
            PastRound(
                number=line["round"],
                step=line["step"],
                loss=None if line["loss"] is None else float(line["loss"]),
                plan=line["plan"],
                reflection=line["reflection"],
                outcome=line["outcome"],
                actions=[_told(one, became.get(one["command_id"])) for one in line["actions"]]
                + [dict(one) for one in line["invalid"]],
            )
            for line in rounds
        ]


def _outcome(decision: Decision) -> str:
    if decision.actions:
        return "acts"
    return "all_invalid" if decision.invalid else "leaves_alone"


def _line(proposal: Proposal) -> dict[str, Any]:
    return {
        "command_id": str(proposal.command_id),
        "command": as_json(proposal.command),
        "reason": proposal.reason,
        "if_generation": proposal.if_generation,
    }


def _told(action: Mapping[str, Any], became: Mapping[str, Any] | None) -> dict[str, Any]:
    known = {} if became is None else {name: became[name] for name in ("state", "code", "hint")}
    shown = {"command": action["command"], "reason": action["reason"], **known}
    return {name: value for name, value in shown.items() if value is not None}
