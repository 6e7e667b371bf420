"""Asks a model within the budget: each try on the disk before it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from interactive.agents.budget import Budget
from interactive.agents.journal import AgentJournal, Kind
from interactive.agents.model import Answer, Endpoint, Mode, Question

KEPT_CHARS = 40_000
"""How much of a prompt or an answer is kept."""
LADDER = tuple(Mode)


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How often a call that failed is made again, and after what pauses.

    Args:
        retries: after the first try, in one round.
        backoff_s: before the first of them; it doubles.
        most_backoff_s: the longest pause, whatever the endpoint asks for.
        malformed: so many unreadable answers in a row mean that the endpoint cannot do this
            way of answering, and the next one is tried.
    """

    retries: int = 2
    backoff_s: float = 1.0
    most_backoff_s: float = 30.0
    malformed: int = 2


class Conversation:
    """Asks an endpoint, by the strictest way of answering that it can do.

    A strict JSON schema first, then a tool call, then a JSON object. What was found out
    holds after a restart: the journal tells it.

    Args:
        endpoint: the model.
        journal: takes each try, before and after.
        budget: says whether one may be made.
        sleep: waits for so many seconds.
        clock: monotonic seconds.
        config: how often to try.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        journal: AgentJournal,
        budget: Budget,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        config: RetryConfig | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._journal = journal
        self._budget = budget
        self._sleep = sleep
        self._clock = clock
        self._config = config or RetryConfig()
        asked = journal.of_kind(Kind.ASK)
        self._rung = LADDER.index(Mode(asked[-1]["mode"])) if asked else 0
        self._malformed = 0

    def ask(self, number: int, question: Question) -> Answer:
        """Ask until there is an answer, a refusal to go on, or the tries are used up.

        Args:
            number: the round, for the journal.
            question: what is asked.

        Returns:
            The last answer; its code is ``budget_spent`` where no call could be paid.
        """
        tries = 0
        while True:
            answer = self._try(number, question)
            if answer.unsupported and self._rung + 1 < len(LADDER):
                self._step_down()
                continue
            if not answer.retry or tries >= self._config.retries:
                return answer
            pause_s = answer.retry_after_s or self._config.backoff_s * 2**tries
            self._sleep(min(pause_s, self._config.most_backoff_s))
            tries += 1

    def judge(self, is_readable: bool) -> None:
        """Take in whether the last answer could be read."""
        self._malformed = 0 if is_readable else self._malformed + 1
        if self._malformed >= self._config.malformed and self._rung + 1 < len(LADDER):
            self._step_down()

    def _step_down(self) -> None:
        self._rung += 1
        self._malformed = 0

    def _try(self, number: int, question: Question) -> Answer:
        mode, config = LADDER[self._rung], self._endpoint.config
        # No tokenizer is at hand: two bytes a token is more than any text of ours takes.
        most_in, most_out = question.size_bytes // 2 + 64, config.max_output_tokens
        if not self._budget.allows_call(most_in, most_out):
            return Answer("budget_spent", "a call could cost more than is left")
        self._journal.write(
            Kind.ASK,
            round=number,
            mode=mode.value,
            model=config.model,
            system=question.system[:KEPT_CHARS],
            user=question.user[:KEPT_CHARS],
            most_tokens_in=most_in,
            most_tokens_out=most_out,
        )
        begin_s = self._clock()
        answer = _accounted(self._endpoint.call(question, mode), question, most_in, most_out)
        self._journal.write(
            Kind.ANSWER,
            round=number,
            code=answer.code,
            hint=answer.hint,
            text=answer.text[:KEPT_CHARS],
            model=answer.model,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            latency_s=round(self._clock() - begin_s, 3),
        )
        return answer


def _accounted(answer: Answer, question: Question, most_in: int, most_out: int) -> Answer:
    """Return the answer with what it cost, or must be taken to have cost."""
    if answer.code == "timeout":
        return replace(answer, tokens_in=most_in, tokens_out=most_out)
    came = bool(answer.text) or answer.ok
    guess_in = question.size_bytes // 3 if came else 0
    guess_out = len(answer.text.encode()) // 3
    return replace(
        answer,
        tokens_in=guess_in if answer.tokens_in is None else answer.tokens_in,
        tokens_out=guess_out if answer.tokens_out is None else answer.tokens_out,
    )
