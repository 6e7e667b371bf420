"""The window's own commands and the keys that give them."""

from __future__ import annotations

from enum import Enum


class HostAction(str, Enum):
    """What a person asks of the window and the recorder rather than of the desktop."""

    RECORD = "record"
    PAUSE = "pause"
    DISCARD = "discard"
    REDACT = "redact"
    """The redacting key went down: redaction begins."""
    REVEAL = "reveal"
    """It was held and went up: redaction ends."""
    CUT = "cut"
    """It was tapped: redaction ends, and the last seconds are taken back."""
    SWITCH = "switch"
    RESET = "reset"
    FULL_SCREEN = "full screen"
    HELP = "help"
    ACCEPT = "accept"
    DECLINE = "decline"
    QUIT = "quit"


KEYS: dict[str, HostAction] = {
    "f9": HostAction.RECORD,
    "f10": HostAction.PAUSE,
    "f8": HostAction.REDACT,
    "f7": HostAction.DISCARD,
    "f6": HostAction.SWITCH,
    "f5": HostAction.RESET,
    "f11": HostAction.FULL_SCREEN,
    "f1": HostAction.HELP,
}
"""Function key (with the host key held) to command, in the order of the HUD's buttons."""

CUT_S = 30.0
"""How much a tap of the redacting key takes back, in seconds of recording."""

EXPLANATIONS: dict[HostAction, str] = {
    HostAction.RECORD: "start or stop recording",
    HostAction.PAUSE: "pause or resume: nothing is recorded meanwhile",
    HostAction.REDACT: "hold: record grey; tap: cut the last 30 s",
    HostAction.DISCARD: "throw away the newest seconds (asks first)",
    HostAction.SWITCH: "switch between the real desktop and the simulator",
    HostAction.RESET: "start the desktop afresh",
    HostAction.FULL_SCREEN: "full screen",
    HostAction.HELP: "this page",
}
