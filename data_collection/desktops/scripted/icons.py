"""The icons on the desktop and the grid that they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_collection.desktops.scripted.apps.registry import APPS, FOLDER
from data_collection.desktops.scripted.filesystem import FileSystem, Folder, Node
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Icon:
    """One icon; ``rect`` takes in its label, ``node`` is what a folder or file stands for."""

    name: str
    app: str
    sprite: str
    rect: Rect
    node: Node | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the icon as a JSON object."""
        return {"name": self.name, "app": self.app, "rect": self.rect.to_json()}


class IconGrid:
    """The apps' icons, then one for each entry of the Desktop folder.

    Slots go down the first column, then the next. An icon keeps its slot for as long as
    it is there; an entry that finds every slot taken has no icon.
    """

    def __init__(
        self, names: tuple[str, ...], files: FileSystem, area: Rect, metrics: Metrics
    ) -> None:
        """Place the named apps on the grid that fits ``area``."""
        self._files = files
        self._metrics = metrics
        self._rows = max(1, (area.height_px - metrics.margin_px) // metrics.slot_height_px)
        columns = max(1, (area.width_px - metrics.margin_px) // metrics.slot_width_px)
        self._slots: list[Node | str | None] = [None] * (self._rows * columns)
        for slot, name in zip(range(len(self._slots)), names, strict=False):
            self._slots[slot] = name
        self._version = -1
        self.icons: tuple[Icon, ...] = ()
        self.follow()

    @property
    def free_slots(self) -> int:
        """How many more icons there is room for."""
        return self._slots.count(None)

    def at(self, x_px: int, y_px: int) -> Icon | None:
        """Return the icon at a point."""
        return next((icon for icon in self.icons if icon.rect.contains(x_px, y_px)), None)

    def of(self, node: Node) -> Icon | None:
        """Return the icon of a folder or file."""
        return next((icon for icon in self.icons if icon.node is node), None)

    def follow(self) -> None:
        """Take over what changed in the Desktop folder."""
        if self._version == self._files.version:
            return
        self._version = self._files.version
        entries = self._files.desktop.shown
        for slot, held in enumerate(self._slots):
            if isinstance(held, Node) and held not in entries:
                self._slots[slot] = None
        for node in entries:
            if node not in self._slots and self.free_slots:
                self._slots[self._slots.index(None)] = node
        self.icons = tuple(
            self._icon(slot, held) for slot, held in enumerate(self._slots) if held is not None
        )

    def _icon(self, slot: int, held: Node | str) -> Icon:
        if isinstance(held, str):
            return Icon(held, held, APPS[held].sprite, self._rect(slot))
        sprite, app = (FOLDER.sprite, FOLDER.name) if isinstance(held, Folder) else ("file", "File")
        return Icon(held.name, app, sprite, self._rect(slot), held)

    def _rect(self, slot: int) -> Rect:
        metrics = self._metrics
        left_px = metrics.margin_px + metrics.slot_width_px * (slot // self._rows)
        x_px = left_px + (metrics.slot_width_px - metrics.icon_px) // 2
        y_px = metrics.margin_px + metrics.slot_height_px * (slot % self._rows)
        return Rect(x_px, y_px, metrics.icon_px, metrics.icon_px + metrics.label_px)
