"""How much an agent may do and spend, over all its sessions."""

from __future__ import annotations

from dataclasses import dataclass

from interactive.agents.journal import AgentJournal

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an agent may use; None is no limit.

    Args:
        actions: commands that it may propose.
        tokens: of prompts and answers together.
        money: in the currency of the prices.
        wall_s: how long its processes may run.
        price_in: of a million tokens of prompts.
        price_out: of a million tokens of answers.
    """

    actions: int = 20
    tokens: int | None = None
    money: float | None = None
    wall_s: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a limit on money that nothing could reach."""
        if self.money is not None and self.price_in <= 0 and self.price_out <= 0:
            raise ValueError("a budget of money needs the price of tokens")


class Budget:
    """Compares what the journal tells with the limits.

    Args:
        limits: the most that may be used.
        journal: tells what was used, in earlier sessions too.
    """

    def __init__(self, limits: Limits, journal: AgentJournal) -> None:
        self.limits = limits
        self._journal = journal
        self._closed: str | None = None

    @property
    def money(self) -> float:
        """Return what was spent."""
        totals = self._journal.totals
        return self._price(totals.tokens_in, totals.tokens_out)

    def spent(self) -> str | None:
        """Return the name of a limit that is reached, or None."""
        limits, totals = self.limits, self._journal.totals
        if totals.proposals >= limits.actions:
            return "actions"
        if limits.wall_s is not None and self._journal.wall_used_s() >= limits.wall_s:
            return "wall_s"
        return self._closed

    def allows_call(self, tokens_in: int, tokens_out: int) -> bool:
        """Return whether a call may be made that costs so many tokens at most.

        Once it may not, ``spent`` names why: no later call would be cheaper for certain.
        """
        limits, totals = self.limits, self._journal.totals
        if limits.tokens is not None and totals.tokens + tokens_in + tokens_out > limits.tokens:
            self._closed = "tokens"
        if (
            limits.money is not None
            and self.money + self._price(tokens_in, tokens_out) > limits.money
        ):
            self._closed = "money"
        return self._closed is None

    def _price(self, tokens_in: int, tokens_out: int) -> float:
        limits = self.limits
        return (tokens_in * limits.price_in + tokens_out * limits.price_out) / MILLION
