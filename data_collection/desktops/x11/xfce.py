"""The xfce profile, as in the NeuralOS paper: xfdesktop, xfwm4, xfce4-panel, Thunar."""

from __future__ import annotations

from pathlib import Path

from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.home import (
    FONT,
    FONT_PT,
    ICON_PX,
    MONO,
    Home,
    furnish,
    launcher,
    write,
)
from data_collection.desktops.x11.menus import CREATE_FOLDER, KnownMenu, RowHeights
from data_collection.desktops.x11.windows import Rect
from data_collection.desktops.x11.xfce_icons import PANEL_PX, write_icon_places
from data_collection.desktops.x11.xfconf import Value, channel_xml

_SERVICES = Path("/usr/share/dbus-1/services")
_WINDOW_MANAGER: dict[str, Value] = {
    "general": {
        "theme": "Default", "button_layout": "|HMC", "title_font": f"{FONT} Bold {FONT_PT}",
        "title_alignment": "left", "use_compositing": False, "workspace_count": 1,
        "box_move": False, "box_resize": False, "snap_to_border": False, "tile_on_move": False,
        "wrap_windows": False, "wrap_workspaces": False, "zoom_desktop": False,
        "mousewheel_rollup": False, "double_click_action": "maximize", "double_click_time": 400,
        "placement_ratio": 100, "scroll_workspaces": False, "show_popup_shadow": False,
        "easy_click": "none", "borderless_maximize": False, "cycle_preview": False,
    }
}  # fmt: skip


def prepare(home: Home) -> None:
    """Write the programs' settings and the icons of the desktop."""
    config, root = home.config, home.session.home
    geometry = f"{min(config.width_px // 7, 80)}x{min(config.height_px // 26, 24)}"
    terminal = "xfce4-terminal --disable-server --hide-menubar --hide-scrollbar -T Terminal"
    furnish(home, f"{terminal} --font='{MONO} {FONT_PT}' --geometry={geometry} -x")
    launcher(home, "Home", "exec thunar ~")
    launcher(home, "Trash", "exec thunar ~/Trash")
    write(root / ".config/gtk-3.0/gtk.css", _CSS)
    channels: dict[str, dict[str, Value]] = {
        "xfwm4": _WINDOW_MANAGER,
        "xfce4-desktop": _desktop(home),
        "xfce4-panel": _panel(),
        "thunar": _thunar(config),
    }
    for name, tree in channels.items():
        path = root / f".config/xfce4/xfconf/xfce-perchannel-xml/{name}.xml"
        write(path, channel_xml(name, tree))
    write_icon_places(home)
    for service in _SERVICES.glob("org.xfce.*.service"):
        write(home.session.run_dir / "services" / service.name, service.read_bytes())


MENUS = (
    KnownMenu(
        "xfdesktop",
        (
            "Create Launcher...", "Create URL Link...", CREATE_FOLDER, "Create Document", None,
            "Paste", None, "Open Terminal Here", None, "Open in New Window",
            "Arrange Desktop Icons", "Desktop Settings...",
        ),
        heights=RowHeights(item_px=16, separator_px=7, margin_px=2),
    ),
)  # fmt: skip
"""The menu of the desktop."""

_CSS = """
menuitem { min-height: 16px; padding: 0px 4px; margin: 0px; }
menu separator { min-height: 1px; margin: 3px 0px; padding: 0px; }
menu, .menu { padding: 2px; margin: 0px; border-width: 1px; }
tooltip { opacity: 0; }
"""


def _desktop(home: Home) -> dict[str, Value]:
    picture: Value = {
        "color-style": 0, "image-style": 5, "last-image": f"{home.session.home}/.wallpaper.png",
    }  # fmt: skip
    workspace: Value = {"workspace0": picture}
    return {
        "backdrop": {"screen0": {"monitorscreen": workspace, "monitor0": workspace}},
        "desktop-icons": {
            "style": 2, "icon-size": ICON_PX, "font-size": FONT_PT, "use-custom-font-size": True,
            "show-tooltips": False, "show-thumbnails": False, "single-click": False,
            "file-icons": {
                "show-home": False, "show-trash": False, "show-filesystem": False,
                "show-removable": False, "show-network-removable": False,
                "show-device-removable": False, "show-unknown-removable": False,
            },
        },
        "desktop-menu": {"show": False},
        "windowlist-menu": {"show": False},
    }  # fmt: skip


def _panel() -> dict[str, Value]:
    return {
        "configver": 2,
        "panels": {
            "": [1],
            "panel-1": {
                "position": "p=8;x=0;y=0", "length": 100, "position-locked": True,
                "size": PANEL_PX, "icon-size": 16, "plugin-ids": [1, 2], "mode": 0,
            },
        },
        "plugins": {
            "plugin-1": "showdesktop",
            "plugin-2": {"": "tasklist", "grouping": 0, "show-handle": False,
                         "include-all-workspaces": True, "show-labels": True, "flat-buttons": False,
                         "sort-order": 0,
                         "window-scrolling": False, "show-tooltips": False},
        },
    }  # fmt: skip


def _thunar(config: X11Config) -> dict[str, Value]:
    return {
        "last-window-width": round(0.66 * config.width_px),
        "last-window-height": round(0.6 * config.height_px),
        "last-location-bar": "void", "last-statusbar-visible": False, "last-menubar-visible": True,
        "last-side-pane": "ThunarShortcutsPane", "last-separator-position": 100,
        "last-icon-view-zoom-level": "THUNAR_ZOOM_LEVEL_50_PERCENT",
        "last-show-hidden": False, "misc-single-click": False,
        "misc-exec-shell-scripts-by-default": 0,
        "misc-thumbnail-mode": "THUNAR_THUMBNAIL_MODE_NEVER", "misc-volume-management": False,
    }  # fmt: skip


_TASK_LEFT_PX = 22
_TASK_WIDTH_PX = 200


def taskbar_rects(config: X11Config, windows: int) -> list[Rect]:
    """Return where the panel has its buttons for so many windows."""
    room_px = config.width_px - _TASK_LEFT_PX
    width_px = min(_TASK_WIDTH_PX, room_px // max(1, windows))
    top_px = config.height_px - PANEL_PX
    return [
        (_TASK_LEFT_PX + n * width_px + 2, top_px + 2, width_px - 4, PANEL_PX - 4)
        for n in range(windows)
    ]
