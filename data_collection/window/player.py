"""The player: one trace, or two side by side, with a bar to move along."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pygame

from data_collection.trace import Frame
from data_collection.window.hud import AMBER, BLUE, DIM, EDGE, GREEN, INK, RAISED, RED, STRIP
from data_collection.window.playback import Moment, PlayedTrace, Playhead, TraceReader
from data_collection.window.playback import moment_in_words as in_words
from data_collection.window.window import Window, WindowConfig

KEYS_IN_WORDS = "Space play  arrows frame  Shift+arrows 1 s  Home End  [ ] speed  Esc close"
TICK_COLOURS = {
    "click": BLUE,
    "key": GREEN,
    "text": INK,
    "wheel": AMBER,
    "marker": RED,
    "redacted": (150, 120, 200),
}
_TEXT_PX = 14
_LINE_PX = 19
_GAP_PX = 8
_LEAST_WIDTH_PX = 512
_STRIP_LINES = 5
_BAR_PX = 28
_CLIPS_AHEAD = 2
_FRAME_S = 1 / 60


class PlayerView:
    """Draws moments of one or two traces, and knows where the scrub bar is.

    Args:
        readers: one trace, or two; the second follows the first by time.
        scale: how many window pixels a desktop pixel takes; 0 is the most that fits.
    """

    def __init__(self, readers: Sequence[TraceReader], scale: int = 0) -> None:
        self.readers = readers
        self.bar = pygame.Rect(0, 0, 1, 1)
        self._scale = scale
        self._fonts: dict[int, pygame.font.Font] = {}

    def size(self, scale: int) -> tuple[int, int]:
        """Return the window size, in pixels, that shows all at a whole scale."""
        height = max(reader.header.height_px * scale for reader in self.readers)
        return max(_LEAST_WIDTH_PX, self._frames_px(scale)), height + self._strip_px

    def best_scale(self, width_px: int, height_px: int) -> int:
        """Return the largest whole scale at which all fits, at least 1."""
        scale = 1
        while True:
            needed = self.size(scale + 1)
            if needed[0] > width_px or needed[1] > height_px:
                return scale
            scale += 1

    def _frames_px(self, scale: int) -> int:
        widths = [reader.header.width_px * scale for reader in self.readers]
        return sum(widths) + _GAP_PX * (len(widths) - 1)

    @property
    def _strip_px(self) -> int:
        return _STRIP_LINES * _LINE_PX + _BAR_PX + 3 * _GAP_PX

    def moments(self, position: int) -> list[Moment]:
        """Return what each trace shows when the first stands at a position."""
        first = self.readers[0].moment(position)
        others = [
            reader.moment(reader.position_at(first.since_start_ns)) for reader in self.readers[1:]
        ]
        return [first, *others]

    def draw(self, surface: pygame.Surface, head: Playhead) -> None:
        """Draw the frames, what was done in each, and the bar."""
        surface.fill((0, 0, 0))
        width_px, height_px = surface.get_size()
        scale = self._scale or self.best_scale(width_px, height_px)
        top = height_px - self._strip_px
        surface.fill(STRIP, (0, top, width_px, self._strip_px))
        x_px = max(0, (width_px - self._frames_px(scale)) // 2)
        room_px = width_px // len(self.readers)
        moments = self.moments(head.position)
        for number, (reader, moment) in enumerate(zip(self.readers, moments, strict=True)):
            picture = _picture(moment.frame, scale)
            surface.blit(picture, (x_px, 0))
            if moment.problem:
                self._write(surface, moment.problem, AMBER, x_px + _GAP_PX, _GAP_PX, room_px)
            left = number * room_px + _GAP_PX
            for line, (text, ink) in enumerate(_lines(reader, moment)):
                y_px = top + _GAP_PX + line * _LINE_PX
                self._write(surface, text, ink, left, y_px, room_px - 2 * _GAP_PX)
            x_px += picture.get_width() + _GAP_PX
        self._draw_bar(surface, head, top + 3 * _LINE_PX + _GAP_PX + 4)
        y_px = self.bar.bottom + _GAP_PX
        state = "playing" if head.playing else "paused"
        words = f"{state}  {head.speed:g}x  {head.position + 1}/{head.frames}"
        x_px = _GAP_PX + self._write(surface, words, INK, _GAP_PX, y_px, width_px) + 3 * _GAP_PX
        for kind, ink in TICK_COLOURS.items():
            x_px += self._write(surface, kind, ink, x_px, y_px, width_px) + _GAP_PX
        self._write(surface, KEYS_IN_WORDS, DIM, _GAP_PX, y_px + _LINE_PX, width_px)

    def position_at(self, x_px: int) -> int:
        """Return the frame under a pixel of the bar."""
        share = (x_px - self.bar.x) / max(1, self.bar.width - 1)
        return round(share * (self.readers[0].frames - 1))

    def _draw_bar(self, surface: pygame.Surface, head: Playhead, y_px: int) -> None:
        width_px = surface.get_width()
        self.bar = pygame.Rect(_GAP_PX, y_px, width_px - 2 * _GAP_PX, _BAR_PX)
        pygame.draw.rect(surface, RAISED, self.bar, border_radius=3)
        pygame.draw.rect(surface, EDGE, self.bar, width=1, border_radius=3)
        rows = {kind: index for index, kind in enumerate(TICK_COLOURS)}
        lane_px = (_BAR_PX - 4) // len(rows)
        for tick in self.readers[0].ticks:
            x_px = self._x_of(tick.position)
            lane_y = self.bar.y + 2 + rows[tick.kind] * lane_px
            surface.fill(TICK_COLOURS[tick.kind], (x_px, lane_y, 2, lane_px))
        x_px = self._x_of(head.position)
        pygame.draw.rect(surface, INK, (x_px - 1, self.bar.y - 3, 3, _BAR_PX + 6))

    def _x_of(self, position: int) -> int:
        share = position / max(1, self.readers[0].frames - 1)
        return self.bar.x + round(share * (self.bar.width - 1))

    def _write(
        self,
        surface: pygame.Surface,
        text: str,
        ink: tuple[int, int, int],
        x_px: int,
        y_px: int,
        room_px: int,
    ) -> int:
        """Write a line, cut off where there is no more room; return its width in pixels."""
        font = self._fonts.setdefault(_TEXT_PX, pygame.font.Font(None, round(_TEXT_PX * 1.3)))
        picture = font.render(text, True, ink)
        surface.blit(picture, (x_px, y_px), (0, 0, room_px, picture.get_height()))
        return picture.get_width()


class Player:
    """The player's window: takes keys and the mouse, and moves along the traces."""

    def __init__(self, view: PlayerView, head: Playhead) -> None:
        self.view = view
        self.head = head
        self.closed = False
        self._dragging = False

    def handle(self, event: pygame.Event) -> None:
        """Obey one event of the window."""
        if event.type == pygame.QUIT:
            self.closed = True
        elif event.type == pygame.KEYDOWN:
            self._obey(event)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._dragging = self.view.bar.inflate(0, 2 * _GAP_PX).collidepoint(event.pos)
            if self._dragging:
                self.head.seek(self.view.position_at(event.pos[0]))
        elif event.type == pygame.MOUSEBUTTONUP:
            self._dragging = False
        elif event.type == pygame.MOUSEMOTION and self._dragging:
            self.head.seek(self.view.position_at(event.pos[0]))

    def _obey(self, event: pygame.Event) -> None:
        head = self.head
        move = head.jump if event.mod & pygame.KMOD_SHIFT else head.step
        if event.key in (pygame.K_ESCAPE, pygame.K_q):
            self.closed = True
        elif event.key == pygame.K_SPACE:
            head.toggle()
        elif event.key == pygame.K_RIGHT:
            move(1)
        elif event.key == pygame.K_LEFT:
            move(-1)
        elif event.key == pygame.K_HOME:
            head.seek(0)
        elif event.key == pygame.K_END:
            head.seek(head.frames - 1)
        elif event.key == pygame.K_LEFTBRACKET:
            head.change_speed(-1)
        elif event.key == pygame.K_RIGHTBRACKET:
            head.change_speed(1)
        elif event.key == pygame.K_F11:
            pygame.display.toggle_fullscreen()


def play(traces: Sequence[PlayedTrace], scale: int = 0) -> None:
    """Play one trace, or two side by side, in a window until it is closed.

    Args:
        traces: one, or two of which the second follows the first by time since the start.
        scale: window pixels to a desktop pixel; 0 is the most that fits on the screen.

    Raises:
        NoDisplay: there is nothing to open a window on.
        ValueError: there are no clips to play, or more than two traces.
    """
    readers = _readers(traces)
    window = Window(WindowConfig(title="NeuralOS traces"))
    window.open()
    try:
        view = PlayerView(readers, scale)
        wide_px, high_px = pygame.display.get_desktop_sizes()[0]
        fitting = scale or view.best_scale(round(wide_px * 0.9), round(high_px * 0.9))
        surface = pygame.display.set_mode(view.size(fitting), pygame.RESIZABLE)
        player = Player(view, Playhead(readers[0].frames, readers[0].header.fps))
        player.head.toggle()
        before_s = time.monotonic()
        while not player.closed:
            for event in pygame.event.get():
                player.handle(event)
            for reader in readers:
                reader.read_ahead(_CLIPS_AHEAD)
            now_s = time.monotonic()
            player.head.advance(now_s - before_s)
            before_s = now_s
            surface = pygame.display.get_surface() or surface
            view.draw(surface, player.head)
            pygame.display.flip()
            time.sleep(_FRAME_S)
    finally:
        window.close()


def save_shot(
    traces: Sequence[PlayedTrace], position: int, path: Path, scale: int = 1
) -> tuple[int, int]:
    """Save what the player shows at a frame as a picture; needs no display.

    Returns:
        The picture's width and height in pixels.

    Raises:
        ValueError: there are no clips to play, or more than two traces.
    """
    readers = _readers(traces)
    for reader in readers:
        while reader.read_ahead(1):
            pass
    pygame.font.init()
    view = PlayerView(readers, scale)
    surface = pygame.Surface(view.size(scale))
    head = Playhead(readers[0].frames, readers[0].header.fps)
    head.seek(position)
    view.draw(surface, head)
    pygame.image.save(surface, str(path))
    return surface.get_size()


def _readers(traces: Sequence[PlayedTrace]) -> list[TraceReader]:
    if not 1 <= len(traces) <= 2:
        raise ValueError(f"{len(traces)} traces: the player shows one, or two side by side")
    return [TraceReader(trace) for trace in traces]


def _picture(frame: Frame, scale: int) -> pygame.Surface:
    height_px, width_px, _ = frame.shape
    data = np.ascontiguousarray(frame).data
    picture = pygame.image.frombuffer(data, (width_px, height_px), "RGB")
    return pygame.transform.scale(picture, (width_px * scale, height_px * scale))


def _lines(reader: TraceReader, moment: Moment) -> list[tuple[str, tuple[int, int, int]]]:
    header = reader.header
    what = "simulator" if header.frame_source == "simulator" else header.desktop
    of_what = f" of {header.origin}" if header.origin else ""
    seconds = moment.since_start_ns / 1e9
    title = f"{header.trace_id}  {what}{of_what}  frame {moment.index}  {seconds:.2f} s"
    done, noted = in_words(moment, reader.key_names)
    return [(title, BLUE if what == "simulator" else GREEN), (done, INK), (noted, AMBER)]
