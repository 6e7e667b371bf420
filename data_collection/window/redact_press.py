"""The redacting key, and what a press of it means: held or tapped."""

from __future__ import annotations

from data_collection.window.hotkeys import HostAction

TAP_NS = 300_000_000
"""A shorter press is a tap."""


class RedactPress:
    """From a key that goes down and up to commands.

    Redaction begins when the key goes down, before it is known how long it will be held. A
    loss of focus does not end it: nobody let go, and the screen may still show what is not
    to be recorded. Then the end of the next press does.
    """

    def __init__(self) -> None:
        self.active = False
        """Whether redaction is on."""
        self._down_by = ""
        self._since_ns: int | None = None

    def press(self, by: str, now_ns: int) -> list[HostAction]:
        """Note that the key went down; return the command that gives.

        Args:
            by: ``key``, or ``mouse`` on its button in the HUD; only the same one lets go.
            now_ns: when.
        """
        if self._down_by:
            return []
        self._down_by = by
        if self.active:
            return []
        self.active = True
        self._since_ns = now_ns
        return [HostAction.REDACT]

    def release(self, by: str, now_ns: int) -> list[HostAction]:
        """Note that the key went up; return the command that gives."""
        if self._down_by != by:
            return []
        self._down_by = ""
        self.active = False
        tapped = self._since_ns is not None and now_ns - self._since_ns < TAP_NS
        return [HostAction.CUT if tapped else HostAction.REVEAL]

    def focus_lost(self) -> None:
        """Note that nothing is known of the key any more."""
        self._down_by = ""
        self._since_ns = None
