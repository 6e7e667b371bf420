"""Everything on the desktop that changes, and what events do to it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from data_collection.desktops.scripted import scancodes
from data_collection.desktops.scripted.apps.content import Content
from data_collection.desktops.scripted.apps.files import FileManager
from data_collection.desktops.scripted.apps.registry import APPS, FOLDER, VIEWER_SIZE_PX
from data_collection.desktops.scripted.apps.viewer import Viewer
from data_collection.desktops.scripted.config import ScriptedConfig
from data_collection.desktops.scripted.filesystem import (
    DEFAULT_FOLDER_NAME,
    FileRefused,
    FileSystem,
    Folder,
    Node,
    TextFile,
    free_name,
)
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.held_key import HeldKey
from data_collection.desktops.scripted.icons import Icon, IconGrid
from data_collection.desktops.scripted.menu import Menu, MenuItem, menu_at
from data_collection.desktops.scripted.metrics import Metrics
from data_collection.desktops.scripted.naming import Naming
from data_collection.desktops.scripted.windows import Window, WindowStack


@dataclass(frozen=True, slots=True)
class Click:
    """The last left press on something: half of a double click."""

    target: Hashable
    tick: int


@dataclass(slots=True)
class Launch:
    """A slow app on its way to its window."""

    app: str
    ticks_left: int


class Session:
    """The desktop between two resets: files, icons, windows, menu, and who has the keys."""

    def __init__(self, config: ScriptedConfig, area: Rect, metrics: Metrics) -> None:
        """Start with closed windows and the files of a new home."""
        self.config = config
        self.area = area
        self.metrics = metrics
        self.tick = 0
        self.files = FileSystem()
        self.icons = IconGrid(config.icons, self.files, area, metrics)
        self.windows = WindowStack(area, config.snap_px, metrics)
        self.menu: Menu | None = None
        self.naming: Naming | None = None
        self.selected: Icon | None = None
        self.launch: Launch | None = None
        self._click: Click | None = None
        self._held = HeldKey()
        self._alt = False

    # What apps and menus ask for.

    def double(self, target: Hashable) -> bool:
        """Note a press on a target; say whether it completes a double click."""
        first, self._click = self._click, None
        soon = first is not None and self.tick - first.tick <= self.config.double_click_ticks
        if soon and first is not None and first.target == target:
            return True
        self._click = Click(target, self.tick)
        return False

    def forget_click(self) -> None:
        """Let the next press begin a new double click."""
        self._click = None

    def open_app(self, name: str) -> None:
        """Show an app's window, after ``launch_frames`` where the app is slow."""
        app = APPS[name]
        slow = app.slow and self.windows.of(name) is None and self.config.launch_frames > 0
        if not slow:
            self._show_app(name)
        elif self.launch is None:
            self.launch = Launch(name, self.config.launch_frames)

    def open_node(self, node: Node) -> None:
        """Show a folder or file in a window."""
        if isinstance(node, Folder):
            content: Content = FileManager(self, FOLDER.name, node)
            size = FOLDER.width_px, FOLDER.height_px
        elif isinstance(node, TextFile):
            content, size = Viewer(self, node), VIEWER_SIZE_PX
        self._show(node, content, *size)

    def open_icon(self, icon: Icon) -> None:
        """Open what an icon stands for."""
        self.selected = None
        if icon.node is not None:
            self.open_node(icon.node)
        else:
            self.open_app(icon.app)

    def create_folder(self, parent: Folder, owner: object | None) -> None:
        """Make a folder of the default name and ask for another one, in ``owner``'s window."""
        if parent is self.files.desktop and not self.icons.free_slots:
            return
        name = free_name(parent, DEFAULT_FOLDER_NAME)
        folder = self.files.make_folder(parent, name)
        self.icons.follow()
        if isinstance(owner, FileManager):
            owner.show(folder)
        self.start_naming(folder, owner)

    def start_naming(self, node: Node, owner: object | None) -> None:
        """Ask for a node's new name."""
        if not self.files.fixed(node):
            self.naming = Naming.of(node, owner)

    def discard(self, node: Node) -> None:
        """Move a node to the trash; one that has to stay stays."""
        try:
            self.files.discard(node)
        except FileRefused:
            return

    def end_naming(self, accept: bool) -> None:
        """Take over the typed name, or keep the one before."""
        naming, self.naming = self.naming, None
        if naming is None or not accept or not self.files.alive(naming.node):
            return
        self.files.rename(naming.node, naming.field.text)

    def naming_rect(self) -> Rect | None:
        """Return where on the screen the name is being typed."""
        naming = self.naming
        if naming is None:
            return None
        if isinstance(naming.owner, FileManager):
            window = self.window_of(naming.owner)
            place = naming.owner.row_of(naming.node)
            if window is None or place is None or window.minimised:
                return None
            return place.moved_by(window.inner.x_px, window.inner.y_px)
        icon = self.icons.of(naming.node)
        if icon is None:
            return None
        slot_px, icon_px = self.metrics.slot_width_px, self.metrics.icon_px
        x_px = icon.rect.x_px - (slot_px - icon_px) // 2
        y_px = icon.rect.y_px + icon_px - (2 if icon_px > 16 else 0)
        return Rect(x_px, y_px, slot_px, self.metrics.label_px).moved_into(self.area)

    def window_of(self, content: Content) -> Window | None:
        """Return the window that holds a content."""
        return next((window for window in self.windows if window.content is content), None)

    def open_menu(self, x_px: int, y_px: int, items: tuple[MenuItem, ...]) -> None:
        """Open a menu at a point, if it has items."""
        self.menu = None
        if items:
            snap_px = self.config.snap_px
            self.menu = menu_at(x_px, y_px, items, self.area, snap_px, self.metrics)

    # What time and keys do.

    @property
    def moving(self) -> bool:
        """Whether the next tick changes something by itself."""
        return self.launch is not None or self._held.held

    def advance(self) -> None:
        """Let one tick pass."""
        self.tick += 1
        again = self._held.advance()
        if again is not None:
            self._act_on_key(again)
            self.follow()
        if self.launch is not None:
            self.launch.ticks_left -= 1
            if self.launch.ticks_left == 0:
                name, self.launch = self.launch.app, None
                self._show_app(name)

    def follow(self) -> None:
        """Let icons, windows and the name being typed follow the files."""
        self.icons.follow()
        if self.naming is not None and self.naming_rect() is None:
            self.end_naming(accept=True)
        if self.selected is not None and self.selected not in self.icons.icons:
            self.selected = None

    def type_text(self, text: str) -> None:
        """Hand typed text to the name being typed, or to the window with the focus."""
        if self.naming is not None:
            self.naming.field.insert(text)
        elif self.menu is None and self.windows.focus is not None:
            self.windows.focus.content.type_text(text)

    def change_key(self, scancode: int, down: bool) -> None:
        """Take a key that went down or up."""
        self._held.change(scancode, down)
        if scancode == scancodes.LEFT_ALT:
            self._alt = down
        elif down:
            self._act_on_key(scancode)

    def _act_on_key(self, scancode: int) -> None:
        focus = self.windows.focus
        if self.menu is not None:
            if scancode == scancodes.ESCAPE:
                self.menu = None
        elif self.naming is not None:
            if scancode in (scancodes.RETURN, scancodes.KEYPAD_RETURN, scancodes.ESCAPE):
                self.end_naming(accept=scancode != scancodes.ESCAPE)
            else:
                self.naming.field.press_key(scancode)
        elif focus is not None:
            if self._alt and scancode == scancodes.F4:
                self.windows.close(focus)
            else:
                focus.content.press_key(scancode)
        elif self.selected is not None:
            self._act_on_icon(self.selected, scancode)

    def _act_on_icon(self, icon: Icon, scancode: int) -> None:
        if scancode in (scancodes.RETURN, scancodes.KEYPAD_RETURN):
            self.open_icon(icon)
        elif icon.node is not None and scancode == scancodes.F2:
            self.start_naming(icon.node, None)
        elif icon.node is not None and scancode == scancodes.DELETE:
            self.discard(icon.node)

    def _show_app(self, name: str) -> None:
        app = APPS[name]
        self._show(name, app.make(self), app.width_px, app.height_px)

    def _show(self, key: Hashable, content: Content, width_px: int, height_px: int) -> None:
        """Lift the window that shows this already, or open one."""
        window = self.windows.of(key)
        if window is not None:
            self.windows.lift(window)
        elif not self.windows.full:
            self.windows.open(key, content, width_px, height_px)
