"""Tasks in the browser: follow a link, or type an address."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_collection.users.hand import Gesture, Hand
from data_collection.users.keyboard import RETURN
from data_collection.users.tasks.icons import OpenIcon
from data_collection.users.tasks.steps import click_at, escape, raise_window, settle, wait
from data_collection.users.view import View
from data_collection.users.view_parts import BrowserView, LinkView, WindowView

_PATIENCE_TICKS = 45
_SHARE_TYPED = 0.4


@dataclass(slots=True)
class Browse:
    """Launch the browser if need be, then go to a page that the one shown links to.

    Which page is known once links are in sight; until then the goal is to browse at all.
    """

    by_typing: bool
    target: LinkView | None = None
    tried_at: int | None = None
    opening: OpenIcon = field(default_factory=lambda: OpenIcon("Browser", "launch"))

    @property
    def goal(self) -> str:
        """The task in a few words."""
        if self.target is None:
            return "browse to another page"
        how = "type the address" if self.by_typing else "follow a link to"
        return f"browse: {how} {self.target.address}"

    def reached(self, view: View) -> bool:
        """Say whether the browser shows the page."""
        browser = view.browser
        return (
            browser is not None
            and self.target is not None
            and browser.address == self.target.address
        )

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Launch the browser, pick a page, go there, and wait for it."""
        window, browser = view.showing("Browser"), view.browser
        if window is None:
            return self.opening.next(view, hand, rng)
        if view.menu is not None:
            return escape(hand, rng)
        if browser is None:
            return wait(view, hand, rng)
        if self.target is None:
            self._pick(browser, rng)
        if self.target is None:
            return self._look_for_links(window, view, hand, rng)
        if self.tried_at is not None and view.tick - self.tried_at < _PATIENCE_TICKS:
            return hand.rest(int(rng.integers(2, 6)))
        if self.by_typing and browser.address_bar is not None:
            return self._type(window, view, browser, hand, rng)
        return self._follow(window, view, browser, hand, rng)

    def _pick(self, browser: BrowserView, rng: np.random.Generator) -> None:
        others = [link for link in browser.links if link.address != browser.address]
        if others:
            self.target = others[int(rng.integers(len(others)))]

    def _look_for_links(
        self, window: WindowView, view: View, hand: Hand, rng: np.random.Generator
    ) -> Gesture:
        """Scroll down over the page."""
        point = view.visible_point(window.sheet, window, rng)
        if point is None:
            return raise_window(window, view, hand, rng)
        return hand.move(*point) + hand.turn_wheel(-2) + settle(hand, rng)

    def _type(
        self,
        window: WindowView,
        view: View,
        browser: BrowserView,
        hand: Hand,
        rng: np.random.Generator,
    ) -> Gesture:
        assert browser.address_bar is not None
        assert self.target is not None
        if browser.editing:
            # A second press would put the caret into the text instead of marking all of it.
            return escape(hand, rng)
        point = view.visible_point(browser.address_bar, window, rng)
        if point is None:
            return raise_window(window, view, hand, rng)
        gesture = click_at(point, hand, rng) + hand.type_text(self.target.address)
        gesture += hand.tap_key(RETURN) + settle(hand, rng)
        self.tried_at = view.tick + len(gesture)
        return gesture

    def _follow(
        self,
        window: WindowView,
        view: View,
        browser: BrowserView,
        hand: Hand,
        rng: np.random.Generator,
    ) -> Gesture:
        assert self.target is not None
        wanted = self.target.address
        links = [link for link in browser.links if link.address == wanted]
        if not links:
            # The page moved on under the task: pick again from what it shows now.
            self.target = None
            return hand.rest(2)
        point = view.visible_point(links[0].rect, window, rng)
        if point is None:
            return raise_window(window, view, hand, rng)
        gesture = click_at(point, hand, rng)
        self.tried_at = view.tick + len(gesture)
        return gesture


def begin_browsing(view: View, rng: np.random.Generator) -> Browse | None:
    """Return a task; None on a desktop without a browser."""
    if "Browser" not in view.icons and view.showing("Browser") is None:
        return None
    return Browse(by_typing=bool(rng.random() < _SHARE_TYPED))
