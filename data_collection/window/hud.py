"""What the window draws besides the desktop: the strip below it and the pages over it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pygame

from data_collection.trace import FPS
from data_collection.window.hotkeys import CUT_S, EXPLANATIONS, KEYS, HostAction
from data_collection.window.viewport import Point

INK = (226, 230, 236)
DIM = (138, 147, 160)
STRIP = (24, 27, 33)
EDGE = (52, 58, 68)
RAISED = (43, 48, 57)
RED = (232, 76, 76)
AMBER = (235, 172, 66)
GREEN = (98, 190, 126)
BLUE = (112, 164, 240)

_TAB = 3
"""Width of the first column of a page, in text sizes."""


class Recording(str, Enum):
    """Whether frames are being recorded."""

    OFF = "off"
    ON = "on"
    PAUSED = "paused"


class Page(str, Enum):
    """What lies over the desktop and takes the input meanwhile."""

    NONE = "none"
    CONSENT = "consent"
    DISCARD = "discard"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class HudState:
    """What the HUD shows; sizes in bytes, times in seconds.

    ``late`` frames came after they were due, ``dropped`` ones not at all. ``hold_s`` is how
    long clips stay on this machine before they are sent.
    """

    recording: Recording = Recording.OFF
    recorded_s: float = 0.0
    fps: float = 0.0
    target_fps: int = FPS
    late: int = 0
    dropped: int = 0
    redacting: bool = False
    hold_s: float = 0.0
    unacknowledged: int = 0
    disk_left_bytes: int | None = None
    frame_source: str = "real"
    label: str = ""
    training: str = ""
    message: str = ""


def consent_lines(destination: str, host_key: str) -> list[str]:
    """Return what the consent page says: what is recorded, where it goes, what undoes it."""
    return [
        "While the red dot is on, this window records",
        "  - the picture of the desktop shown in it, 15 times a second",
        "  - your pointer, clicks, wheel, keys and typed text in it",
        "and nothing outside it: no sound, no other window.",
        "",
        f"The recording goes to {destination}",
        "and may be used to train a model.",
        "",
        f"{host_key} + F8 held: recorded grey, without input",
        f"{host_key} + F8 tapped: the last {CUT_S:.0f} s are cut",
        "What is cut is deleted, also where it was sent.",
        "What a model has learned from it by then remains.",
        "",
        "Type no passwords or private text here.",
    ]


def help_lines(host_key: str) -> list[str]:
    """Return one line for each command: its key, a tab, what it does."""
    lines = [f"Hold {host_key} and press", ""]
    lines += [f"{key.upper()}\t{EXPLANATIONS[action]}" for key, action in KEYS.items()]
    return [*lines, "", "These keys are never recorded."]


def _page_height(lines: list[str]) -> float:
    """Return the height of a page with its title and buttons, in text sizes."""
    return 6.4 + 1.35 * len(lines)


class Hud:
    """Draws the strip and the pages, and knows where their buttons are."""

    def __init__(self, host_key: str, destination: str) -> None:
        self._host_key = host_key
        self._destination = destination
        self._fonts: dict[int, pygame.font.Font] = {}
        self._texts: dict[tuple[str, int, tuple[int, int, int]], pygame.Surface] = {}
        self._buttons: list[tuple[pygame.Rect, HostAction]] = []
        self._answers: list[tuple[pygame.Rect, bool]] = []

    def button_at(self, point: Point) -> HostAction | None:
        """Return the command of the strip's button under a window pixel."""
        for rect, action in self._buttons:
            if rect.collidepoint(point):
                return action
        return None

    def answer_at(self, point: Point) -> bool | None:
        """Return True over the page's accepting button, False over the other, else None."""
        for rect, accepts in self._answers:
            if rect.collidepoint(point):
                return accepts
        return None

    def draw(self, surface: pygame.Surface, strip: pygame.Rect, state: HudState) -> None:
        """Draw the strip: two lines of facts and a row of buttons."""
        surface.fill(STRIP, strip)
        surface.fill(EDGE, (strip.x, strip.y, strip.width, 1))
        row_px = strip.height // 3
        size_px = round(row_px * 0.62)
        margin_px = row_px // 3
        first_y = strip.y + row_px // 2 + 1
        self._draw_facts(surface, strip, first_y, size_px, margin_px, state)
        self._draw_source(surface, strip, first_y + row_px - 2, size_px, margin_px, state)
        bottom = pygame.Rect(strip.x, strip.bottom - row_px - 1, strip.width, row_px)
        self._draw_buttons(surface, bottom, size_px, margin_px, state)

    def draw_page(
        self, surface: pygame.Surface, area: pygame.Rect, page: Page, state: HudState
    ) -> None:
        """Draw a page over the desktop's area, or nothing for ``Page.NONE``."""
        self._answers = []
        if page is Page.NONE:
            return
        title, lines, accept, decline = self._page(page, state)
        # A page lies over the desktop and leaves the strip free.
        size_px = max(11, min(26, area.height // 24, int(area.height / _page_height(lines))))
        panel = self._panel(area, size_px, title, lines)
        shade = pygame.Surface(area.size)
        shade.set_alpha(150)
        surface.blit(shade, area)
        pygame.draw.rect(surface, STRIP, panel, border_radius=size_px // 2)
        pygame.draw.rect(surface, BLUE, panel, width=1, border_radius=size_px // 2)
        x_px, y_px = panel.x + size_px, panel.y + size_px
        surface.blit(self._text(title, round(size_px * 1.3), INK), (x_px, y_px))
        y_px += size_px * 2
        for line in lines:
            key, tab, rest = line.rpartition("\t")
            surface.blit(self._text(key, size_px, BLUE), (x_px, y_px))
            column_px = _TAB * size_px if tab else 0
            surface.blit(self._text(rest, size_px, INK), (x_px + column_px, y_px))
            y_px += round(size_px * 1.35)
        self._draw_answers(surface, panel, size_px, accept, decline)

    def _page(self, page: Page, state: HudState) -> tuple[str, list[str], str, str]:
        if page is Page.CONSENT:
            lines = consent_lines(self._destination, self._host_key.title())
            return "May this window record you?", lines, "Accept (Enter)", "Not now (Esc)"
        if page is Page.DISCARD:
            lines = [
                "What is here is deleted; what was sent",
                "is withdrawn and deleted there.",
                "",
            ]
            title = f"Throw away the newest {max(1, round(state.hold_s))} s?"
            return title, lines, "Discard (Enter)", "Keep (Esc)"
        return "Keys of this window", help_lines(self._host_key), "", "Close (Esc)"

    def _panel(self, area: pygame.Rect, size_px: int, title: str, lines: list[str]) -> pygame.Rect:
        widths = [self._text(title, round(size_px * 1.3), INK).get_width()]
        for line in lines:
            _, tab, rest = line.rpartition("\t")
            column_px = _TAB * size_px if tab else 0
            widths.append(column_px + self._text(rest, size_px, INK).get_width())
        width_px = max(size_px * 22, max(widths) + 2 * size_px)
        height_px = round(size_px * _page_height(lines))
        panel = pygame.Rect(0, 0, width_px, height_px)
        panel.center = area.center
        return panel

    def _draw_answers(
        self, surface: pygame.Surface, panel: pygame.Rect, size_px: int, accept: str, decline: str
    ) -> None:
        right = panel.right - size_px
        for text, accepts in ((accept, True), (decline, False)):
            if not text:
                continue
            picture = self._text(text, size_px, INK)
            rect = picture.get_rect().inflate(size_px, round(size_px * 0.7))
            rect.bottomright = (right, panel.bottom - size_px)
            fill = (46, 92, 158) if accepts else RAISED
            pygame.draw.rect(surface, fill, rect, border_radius=4)
            pygame.draw.rect(surface, EDGE, rect, width=1, border_radius=4)
            surface.blit(picture, picture.get_rect(center=rect.center))
            self._answers.append((rect, accepts))
            right = rect.left - size_px // 2

    def _draw_facts(
        self,
        surface: pygame.Surface,
        strip: pygame.Rect,
        y_px: int,
        size_px: int,
        margin_px: int,
        state: HudState,
    ) -> None:
        colour = {Recording.ON: RED, Recording.PAUSED: AMBER, Recording.OFF: EDGE}[state.recording]
        if state.redacting:
            colour = BLUE
        radius_px = round(size_px * 0.4)
        pygame.draw.circle(surface, colour, (strip.x + margin_px + radius_px, y_px), radius_px)
        minutes, seconds = divmod(int(state.recorded_s), 60)
        words = {Recording.ON: "REC", Recording.PAUSED: "PAUSED", Recording.OFF: "not recording"}
        word = "REDACTING" if state.redacting else words[state.recording]
        piling_up = state.unacknowledged > 10 + state.hold_s
        slow = state.fps < 0.9 * state.target_fps
        facts: list[tuple[str, tuple[int, int, int]]] = [
            (word, INK if state.recording is Recording.ON else DIM),
            (f"{minutes:02d}:{seconds:02d}", INK),
            (f"{state.fps:.1f}/{state.target_fps} fps", AMBER if slow else DIM),
            (f"{state.late} late", AMBER if state.late else DIM),
            (f"{state.dropped} dropped", AMBER if state.dropped else DIM),
            (f"{state.unacknowledged} unsent", AMBER if piling_up else DIM),
        ]
        if state.disk_left_bytes is not None:
            gigabytes = state.disk_left_bytes / 1e9
            facts.append((f"{gigabytes:.1f} GB left", AMBER if gigabytes < 2 else DIM))
        if state.hold_s:
            facts.append((f"hold {state.hold_s:.0f} s", DIM))
        x_px = strip.x + 2 * margin_px + 2 * radius_px
        pictures = [self._text(text, size_px, ink) for text, ink in facts]
        free_px = strip.right - margin_px - x_px - sum(one.get_width() for one in pictures)
        gap_px = max(margin_px // 2, min(2 * margin_px, free_px // (len(pictures) - 1)))
        for picture in pictures:
            if x_px + picture.get_width() > strip.right:
                break
            surface.blit(picture, picture.get_rect(midleft=(x_px, y_px)))
            x_px += picture.get_width() + gap_px

    def _draw_source(
        self,
        surface: pygame.Surface,
        strip: pygame.Rect,
        y_px: int,
        size_px: int,
        margin_px: int,
        state: HudState,
    ) -> None:
        right = strip.right - margin_px
        if state.training and not state.message:
            picture = self._text(state.training, size_px, DIM)
            rect = picture.get_rect(midright=(right, y_px))
            surface.blit(picture, rect)
            right = rect.left - margin_px
        ink = BLUE if state.frame_source == "simulator" else GREEN
        text, ink = (state.message, AMBER) if state.message else (state.label, ink)
        picture = self._text(text, size_px, ink)
        room_px = max(0, right - strip.x - margin_px)
        place = picture.get_rect(midleft=(strip.x + margin_px, y_px))
        surface.blit(picture, place, (0, 0, room_px, picture.get_height()))

    def _draw_buttons(
        self,
        surface: pygame.Surface,
        row: pygame.Rect,
        size_px: int,
        margin_px: int,
        state: HudState,
    ) -> None:
        self._buttons = []
        names = {
            HostAction.RECORD: "Record" if state.recording is Recording.OFF else "Stop",
            HostAction.PAUSE: "Resume" if state.recording is Recording.PAUSED else "Pause",
            HostAction.REDACT: "Redact",
            HostAction.DISCARD: "Discard",
            HostAction.SWITCH: "To real" if state.frame_source == "simulator" else "To sim",
            HostAction.RESET: "Reset",
            HostAction.FULL_SCREEN: "Full",
            HostAction.HELP: "Help",
        }
        gap_px = max(2, margin_px // 2)
        labels = [
            (self._text(key.upper(), round(size_px * 0.8), DIM), self._text(name, size_px, INK))
            for key, name in ((key, names[action]) for key, action in KEYS.items())
        ]
        inks = [hint.get_width() + gap_px + name.get_width() for hint, name in labels]
        free_px = row.width - 2 * margin_px - sum(inks) - gap_px * (len(inks) - 1)
        x_px = row.x + margin_px
        for (hint, name), ink_px, action in zip(labels, inks, KEYS.values(), strict=True):
            rect = pygame.Rect(x_px, row.y, ink_px + free_px // len(inks), row.height - gap_px)
            pygame.draw.rect(surface, RAISED, rect, border_radius=3)
            pygame.draw.rect(surface, EDGE, rect, width=1, border_radius=3)
            left = rect.centerx - ink_px // 2
            surface.blit(hint, hint.get_rect(midleft=(left, rect.centery)))
            place = name.get_rect(midright=(left + ink_px, rect.centery))
            surface.blit(name, place)
            self._buttons.append((rect, action))
            x_px = rect.right + gap_px

    def _text(self, text: str, size_px: int, ink: tuple[int, int, int]) -> pygame.Surface:
        """Return a line of text, rendered once: most of the HUD repeats from frame to frame."""
        key = (text, size_px, ink)
        if key not in self._texts:
            if len(self._texts) > 256:
                self._texts.clear()
            font = self._fonts.setdefault(size_px, pygame.font.Font(None, round(size_px * 1.3)))
            self._texts[key] = font.render(text, True, ink)
        return self._texts[key]
