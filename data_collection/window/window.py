"""The pygame window: shows a desktop and turns what a person does into events."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pygame

from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    Marker,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.trace import Frame
from data_collection.window.held import Held
from data_collection.window.hotkeys import KEYS, HostAction
from data_collection.window.hud import Hud, HudState, Page
from data_collection.window.redact_press import RedactPress
from data_collection.window.viewport import Point, Size, Viewport

_BUTTONS = {1: Button.LEFT, 2: Button.MIDDLE, 3: Button.RIGHT}
_BUTTON_NUMBERS = {button: number for number, button in _BUTTONS.items()}
_UNSEEN_DRIVERS = ("dummy", "offscreen", "evdev")
_ANSWER_KEYS = {pygame.K_RETURN: True, pygame.K_KP_ENTER: True, pygame.K_ESCAPE: False}


class NoDisplay(RuntimeError):
    """There is no display to open a window on; the message says what to do."""


class UnknownHostKey(ValueError):
    """No key has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown host key {name!r}")
        self.hint = "Try 'right ctrl', 'right alt', 'menu' or 'f12'."


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """How the window looks and which key is its own.

    ``scale`` 0 takes the largest whole scale that leaves room on the screen.
    ``destination`` completes the consent page's "The recording goes to …".
    """

    title: str = "NeuralOS"
    width_px: int = 512
    height_px: int = 384
    scale: int = 0
    host_key: str = "right ctrl"
    destination: str = "this computer"


@dataclass(frozen=True, slots=True)
class Pumped:
    """What one call of ``pump`` found: events for the desktop, commands for the recorder."""

    events: tuple[Event, ...] = ()
    host_actions: tuple[HostAction, ...] = ()


class Window:
    """Shows frames and the HUD, and converts input; it records nothing itself.

    Before every command, and when the focus goes, what is held is let go, so that
    neither the desktop nor a trace ever sees a key or a button hang.
    """

    def __init__(self, config: WindowConfig) -> None:
        self.config = config
        self.viewport = Viewport.fit(
            (config.width_px, config.height_px), (config.width_px, config.height_px)
        )
        self.page = Page.NONE
        self.pointer: Point | None = None
        """Last known place of the pointer, in desktop pixels."""
        self._hud = Hud(config.host_key, config.destination)
        self._held = Held()
        self._redact = RedactPress()
        self._host_down = False
        self._over_desktop = True
        self._host_code = 0
        self._screen: pygame.Surface | None = None
        self._size_before: Size | None = None

    def open(self) -> None:
        """Open the window.

        Raises:
            NoDisplay: there is no display.
            UnknownHostKey: no key has the host key's name.
        """
        asked = os.environ.get("SDL_VIDEODRIVER", "")
        try:
            pygame.display.init()
            if pygame.display.get_driver() in _UNSEEN_DRIVERS and not asked:
                raise NoDisplay(_no_display("SDL found no screen"))
            pygame.display.set_caption(self.config.title)
            desktop = (self.config.width_px, self.config.height_px)
            scale = self.config.scale or _fitting_scale(desktop)
            size = Viewport.window_size(desktop, scale)
            self._screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            pygame.display.quit()
            raise NoDisplay(_no_display(str(error))) from None
        except NoDisplay:
            pygame.display.quit()
            raise
        pygame.font.init()
        try:
            self._host_code = pygame.key.key_code(self.config.host_key)
        except ValueError:
            self.close()
            raise UnknownHostKey(self.config.host_key) from None
        pygame.mouse.set_visible(True)
        self.fit(*desktop)

    def close(self) -> None:
        """Close the window; closing twice is fine."""
        self._screen = None
        pygame.font.quit()
        pygame.display.quit()

    def fit(self, width_px: int, height_px: int) -> None:
        """Make room for a desktop of this size within the window as it is."""
        self.viewport = Viewport.fit(self.surface.get_size(), (width_px, height_px))

    def ask(self, page: Page) -> None:
        """Lay a page over the desktop; input goes to it until it is answered."""
        self.page = page

    def pump(self, now_ns: int) -> Pumped:
        """Take what happened since the last call; stamp it ``now_ns``.

        pygame's events carry no time of their own, so call this at least 120 times a second.
        """
        events: list[Event] = []
        actions: list[HostAction] = []
        batch = pygame.event.get()
        if any(event.type == pygame.WINDOWFOCUSLOST for event in batch):
            # SDL lets go of every key before it says so: those releases are not a hand's.
            self._redact.focus_lost()
        for event in batch:
            given = self._commands(event, now_ns)
            if given is None:
                events += self._convert(event, now_ns)
            elif given:
                events += self.let_go(now_ns)
                actions += [action for action in given if not self._done_here(action)]
        return Pumped(tuple(events), tuple(actions))

    def let_go(self, now_ns: int) -> list[Event]:
        """Release every key and button that is held, and return the releases."""
        return self._held.let_go(self.pointer or (0, 0), now_ns)

    def post(self, events: Iterable[Event]) -> None:
        """Queue events as if a person had caused them; ``pump`` then finds them."""
        for event in events:
            pygame.event.post(self._to_pygame(event))

    def show(self, frame: Frame, hud: HudState) -> None:
        """Show a frame of the desktop and the HUD.

        Args:
            frame: (height, width, 3) RGB.
            hud: what the strip says.
        """
        screen = self.surface
        view = self.viewport
        size = (frame.shape[1], frame.shape[0])
        picture = pygame.image.frombuffer(np.ascontiguousarray(frame).data, size, "RGB")
        area = pygame.Rect(
            view.origin, (view.desktop[0] * view.scale, view.desktop[1] * view.scale)
        )
        screen.fill((0, 0, 0))
        screen.blit(pygame.transform.scale(picture, area.size), area)
        self._hud.draw(screen, pygame.Rect(view.hud), hud)
        self._hud.draw_page(screen, area, self.page, hud)
        pygame.display.flip()

    @property
    def surface(self) -> pygame.Surface:
        """What the window shows, HUD included.

        Raises:
            RuntimeError: the window is not open.
        """
        if self._screen is None:
            raise RuntimeError("the window is not open")
        return self._screen

    def screenshot(self, path: str) -> None:
        """Save what the window shows as an image file."""
        pygame.image.save(self.surface, path)

    def _commands(self, event: pygame.Event, now_ns: int) -> list[HostAction] | None:
        """Return the commands an event gives, or None where it is the desktop's."""
        if event.type == pygame.QUIT:
            return [HostAction.QUIT]
        if event.type == pygame.MOUSEBUTTONUP:
            return self._redact.release("mouse", now_ns) or None
        if event.type == pygame.KEYUP and _command_of(event) is HostAction.REDACT:
            return self._redact.release("key", now_ns) or None
        if event.type == pygame.KEYDOWN:
            if event.key == self._host_code:
                self._host_down = True
                return []
            if self._host_down:
                return self._allowed(_command_of(event), "key", now_ns)
            if self.page is not Page.NONE:
                return self._answer(_ANSWER_KEYS.get(event.key))
        if event.type == pygame.MOUSEBUTTONDOWN and not self._held.dragging:
            if self.page is not Page.NONE and self.viewport.contains(event.pos):
                return self._answer(self._hud.answer_at(event.pos))
            button = self._hud.button_at(event.pos)
            if button is not None:
                return self._allowed(button, "mouse", now_ns)
        return None

    def _allowed(self, action: HostAction | None, by: str, now_ns: int) -> list[HostAction]:
        """Let a command through, unless a question has to be answered first."""
        asking = self.page in (Page.CONSENT, Page.DISCARD)
        if action is None or (asking and action is not HostAction.FULL_SCREEN):
            return []
        if action is HostAction.REDACT:
            return self._redact.press(by, now_ns)
        return [action]

    def _answer(self, accepted: bool | None) -> list[HostAction]:
        """Close the page if it was answered; return the answer to a question."""
        if accepted is None:
            return []
        page, self.page = self.page, Page.NONE
        if page is Page.HELP:
            return []
        return [HostAction.ACCEPT if accepted else HostAction.DECLINE]

    def _done_here(self, action: HostAction) -> bool:
        """Carry out the commands that concern nobody but the window."""
        if action is HostAction.FULL_SCREEN:
            self._toggle_full_screen()
        elif action is HostAction.HELP:
            self.page = Page.NONE if self.page is Page.HELP else Page.HELP
        else:
            return False
        return True

    def _toggle_full_screen(self) -> None:
        if self._size_before is None:
            self._size_before = self.surface.get_size()
            self._screen = pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
        else:
            self._screen = pygame.display.set_mode(self._size_before, pygame.RESIZABLE)
            self._size_before = None
        self.fit(*self.viewport.desktop)

    def _convert(self, event: pygame.Event, now_ns: int) -> list[Event]:
        """Return the desktop events of a pygame event that is no command."""
        if event.type == pygame.WINDOWFOCUSLOST:
            self._host_down = False
            return [*self.let_go(now_ns), Marker("focus_lost", "", now_ns)]
        if event.type == pygame.WINDOWSIZECHANGED:
            self._screen = pygame.display.get_surface()
            self.fit(*self.viewport.desktop)
        elif event.type == pygame.KEYUP:
            return self._key_up(event, now_ns)
        elif event.type in (pygame.MOUSEMOTION, pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
            return self._pointer(event, now_ns)
        elif event.type == pygame.USEREVENT:
            return [Marker(event.kind, event.note, now_ns)]
        elif self.page is not Page.NONE or self._host_down:
            return []
        elif event.type == pygame.KEYDOWN:
            keysym = _keysym(event)
            if self._held.press_key(event.scancode, keysym):
                return [KeyChanged(event.scancode, keysym, True, now_ns)]
        elif event.type == pygame.TEXTINPUT:
            return [TextTyped(event.text, now_ns)]
        elif event.type == pygame.MOUSEWHEEL and self._over_desktop:
            sign = -1 if event.flipped else 1
            return [WheelTurned(sign * event.x, sign * event.y, now_ns)]
        return []

    def _key_up(self, event: pygame.Event, now_ns: int) -> list[Event]:
        if event.key == self._host_code:
            self._host_down = False
        keysym = self._held.release_key(event.scancode)
        return [] if keysym is None else [KeyChanged(event.scancode, keysym, False, now_ns)]

    def _pointer(self, event: pygame.Event, now_ns: int) -> list[Event]:
        """Convert motion and buttons; outside the desktop only a drag still counts, clamped."""
        inside = self.viewport.contains(event.pos)
        x_px, y_px = self.viewport.to_desktop(event.pos)
        self._over_desktop = inside
        if event.type == pygame.MOUSEBUTTONUP:
            button = _BUTTONS.get(event.button)
            if button is None or not self._held.release_button(button):
                return []
            self.pointer = (x_px, y_px)
            return [ButtonChanged(button, False, x_px, y_px, now_ns)]
        if self.page is not Page.NONE or not (inside or self._held.dragging):
            return []
        self.pointer = (x_px, y_px)
        if event.type == pygame.MOUSEMOTION:
            return [PointerMoved(x_px, y_px, now_ns)]
        button = _BUTTONS.get(event.button)
        if button is None or not inside or not self._held.press_button(button):
            return []
        return [ButtonChanged(button, True, x_px, y_px, now_ns)]

    def _to_pygame(self, event: Event) -> pygame.Event:
        """Return the pygame event that ``pump`` turns back into this one."""
        if isinstance(event, PointerMoved):
            pos = self.viewport.to_window((event.x_px, event.y_px))
            return pygame.Event(
                pygame.MOUSEMOTION, pos=pos, rel=(0, 0), buttons=(0, 0, 0), touch=False
            )
        if isinstance(event, ButtonChanged):
            kind = pygame.MOUSEBUTTONDOWN if event.down else pygame.MOUSEBUTTONUP
            pos = self.viewport.to_window((event.x_px, event.y_px))
            number = _BUTTON_NUMBERS[event.button]
            return pygame.Event(kind, pos=pos, button=number, touch=False)
        if isinstance(event, WheelTurned):
            return pygame.Event(pygame.MOUSEWHEEL, x=event.dx, y=event.dy, flipped=False)
        if isinstance(event, KeyChanged):
            kind = pygame.KEYDOWN if event.down else pygame.KEYUP
            return pygame.Event(
                kind, key=0, scancode=event.scancode, mod=0, unicode="", keysym=event.keysym
            )
        if isinstance(event, TextTyped):
            return pygame.Event(pygame.TEXTINPUT, text=event.text)
        return pygame.Event(pygame.USEREVENT, kind=event.kind, note=event.note)


def _keysym(event: pygame.Event) -> str:
    """Return a key's symbol; a posted event brings its own, which need not be an SDL name."""
    posted: str | None = getattr(event, "keysym", None)
    return pygame.key.name(event.key) if posted is None else posted


def _command_of(event: pygame.Event) -> HostAction | None:
    """Return the command of a key, whether or not the host key is down."""
    return KEYS.get(pygame.key.name(event.key))


def _fitting_scale(desktop: Size) -> int:
    """Return the largest whole scale whose window leaves a tenth of the screen free."""
    width_px, height_px = pygame.display.get_desktop_sizes()[0]
    scale = 1
    while True:
        wanted = Viewport.window_size(desktop, scale + 1)
        if wanted[0] > 0.9 * width_px or wanted[1] > 0.9 * height_px:
            return scale
        scale += 1


def _no_display(reason: str) -> str:
    return (
        f"no display to open a window on ({reason}); set DISPLAY, "
        "or run headless with SDL_VIDEODRIVER=dummy"
    )
