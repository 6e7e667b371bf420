"""What can be chosen about the scripted desktop."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from data_collection.desktops.scripted.apps.registry import APPS

MIN_WIDTH_PX = 128
MIN_HEIGHT_PX = 96


@dataclass(frozen=True, slots=True)
class ScriptedConfig:
    """Size and difficulty of the scripted desktop; times are in ticks of 1/15 s.

    ``launch_frames`` ticks pass between the browser's launch and its window;
    two presses at most ``double_click_ticks`` apart on one thing are a double click;
    window edges and menus stand on multiples of ``snap_px`` (1: any pixel); ``icons``
    are the apps on the desktop, from top to bottom. A screen below 256x192 gets small
    icons, bars and menus.
    """

    width_px: int = 512
    height_px: int = 384
    launch_frames: int = 40
    double_click_ticks: int = 6
    snap_px: int = 8
    icons: tuple[str, ...] = ("Home", "Browser", "Trash", "Terminal")

    def __post_init__(self) -> None:
        """Refuse what the desktop cannot draw or do.

        Raises:
            ValueError: a value lies outside its range, or an icon is of no known app.
        """
        if self.width_px < MIN_WIDTH_PX or self.height_px < MIN_HEIGHT_PX:
            raise ValueError(
                f"screen {self.width_px}x{self.height_px} is too small: "
                f"{MIN_WIDTH_PX}x{MIN_HEIGHT_PX} px is the least"
            )
        if self.launch_frames < 0 or self.double_click_ticks < 0 or self.snap_px < 1:
            raise ValueError("launch_frames and double_click_ticks must be >= 0, snap_px >= 1")
        for name in self.icons:
            if name not in APPS:
                nearest = get_close_matches(name, APPS, n=1, cutoff=0.0)[0]
                raise ValueError(f"no app {name!r}; did you mean {nearest!r}?")
