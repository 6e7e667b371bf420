"""What can be chosen about a real desktop."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum


class Profile(str, Enum):
    """Which programs make up the desktop."""

    LEAN = "lean"
    XFCE = "xfce"


@dataclass(frozen=True, slots=True)
class X11Config:
    """A real desktop in a display of its own.

    Attributes:
        profile: ``lean`` (openbox, pcmanfm, xterm) or ``xfce`` (as in the NeuralOS paper).
        width_px: width of the screen.
        height_px: height of the screen.
        browser: whether there is a browser, and an icon that starts it.
        folder: where the folder of each session is made; empty is the system's own place.
        start_timeout_s: how long a session may take until its desktop can be seen.
        min_disk_left_bytes: with less than this left the session ends with a clear error.
    """

    profile: str = Profile.LEAN.value
    width_px: int = 512
    height_px: int = 384
    browser: bool = True
    folder: str = ""
    start_timeout_s: float = 30.0
    min_disk_left_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        """Refuse a profile that nobody knows and a screen on which nothing fits.

        Raises:
            ValueError: the profile is unknown (the message names the nearest), or the
                screen is smaller than 320x240.
        """
        known = [profile.value for profile in Profile]
        if self.profile not in known:
            nearest = get_close_matches(self.profile, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"no profile {self.profile!r}; did you mean {nearest!r}?")
        if self.width_px < 320 or self.height_px < 240:
            raise ValueError(f"{self.width_px}x{self.height_px} is too small: 320x240 at least")
