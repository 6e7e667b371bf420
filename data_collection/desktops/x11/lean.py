"""The lean profile: openbox, pcmanfm and xterm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.home import (
    APPS,
    FONT,
    FONT_PT,
    ICON_PX,
    MONO,
    Home,
    furnish,
    launcher,
    write,
)
from data_collection.desktops.x11.icon_search import find_icon
from data_collection.desktops.x11.menus import CREATE_FOLDER, KnownMenu
from data_collection.desktops.x11.windows import Rect
from data_collection.trace import Frame

_RC = """<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
<focus><focusNew>yes</focusNew><followMouse>no</followMouse><raiseOnFocus>no</raiseOnFocus></focus>
<placement><policy>Smart</policy><center>no</center></placement>
<theme><name>neuralos</name><titleLayout>LIMC</titleLayout><animateIconify>no</animateIconify>
{fonts}</theme>
<desktops><number>1</number><popupTime>0</popupTime></desktops>
<resize><drawContents>yes</drawContents><popupShow>Never</popupShow></resize>
<keyboard>
<keybind key="A-F4"><action name="Close"/></keybind>
<keybind key="A-Tab"><action name="NextWindow"/></keybind>
</keyboard>
<mouse><dragThreshold>3</dragThreshold><doubleClickTime>400</doubleClickTime>
<context name="Titlebar">
<mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
<mousebind button="Left" action="Drag"><action name="Move"/></mousebind>
<mousebind button="Left" action="DoubleClick"><action name="ToggleMaximize"/></mousebind>
</context>
<context name="Client">
<mousebind button="Left" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
<mousebind button="Middle" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
<mousebind button="Right" action="Press"><action name="Focus"/><action name="Raise"/></mousebind>
</context>
{edges}
<context name="Close"><mousebind button="Left" action="Click"><action name="Close"/></mousebind>
</context>
<context name="Iconify"><mousebind button="Left" action="Click"><action name="Iconify"/></mousebind>
</context>
<context name="Maximize"><mousebind button="Left" action="Click"><action name="ToggleMaximize"/>
</mousebind></context>
<context name="Desktop">
<mousebind button="Left" action="Press"><action name="Focus"/></mousebind>
</context>
</mouse>
<menu><file>menu.xml</file></menu>
</openbox_config>
"""
MENUS = (
    KnownMenu(
        "pcmanfm",
        (
            "Create New...", None, "Paste", None, "Select All", "Invert Selection", None,
            "Sort Files", None, "Desktop Preferences",
        ),
        {"Create New...": (CREATE_FOLDER, "Empty File")},
    ),
    KnownMenu("pcmanfm", (CREATE_FOLDER, None, "Empty File")),
)  # fmt: skip
"""The menu of the desktop, and the one that its first item opens."""

_CELL_PX = (116, 74)
_MARGIN_PX = 2
_PLACES = ("ActiveWindow", "InactiveWindow", "MenuHeader", "MenuItem")
_EDGES = ("TLCorner", "TRCorner", "BLCorner", "BRCorner", "Top", "Left", "Right", "Bottom")
_MENU = """<?xml version="1.0"?>
<openbox_menu xmlns="http://openbox.org/3.4/menu"><menu id="root-menu" label="Menu"/>
</openbox_menu>
"""
_THEME = """border.width: 1
padding.width: 3
padding.height: 2
window.handle.width: 4
window.client.padding.width: 0
window.client.padding.height: 0
window.label.text.justify: left
window.active.border.color: #2f4a66
window.inactive.border.color: #7f8891
window.active.title.bg: flat solid
window.active.title.bg.color: #3f6a99
window.inactive.title.bg: flat solid
window.inactive.title.bg.color: #a9b2ba
window.active.label.bg: parentrelative
window.inactive.label.bg: parentrelative
window.active.label.text.color: #ffffff
window.inactive.label.text.color: #4c555b
window.active.handle.bg: flat solid
window.active.handle.bg.color: #c9d3dc
window.inactive.handle.bg: flat solid
window.inactive.handle.bg.color: #d9dee2
window.active.grip.bg: flat solid
window.active.grip.bg.color: #3f6a99
window.inactive.grip.bg: flat solid
window.inactive.grip.bg.color: #a9b2ba
window.*.button.*.bg: parentrelative
window.active.button.*.image.color: #ffffff
window.inactive.button.*.image.color: #4c555b
"""
_PCMANFM = """[config]
bm_open_method=0
[volume]
mount_on_startup=0
mount_removable=0
autorun=0
[ui]
always_show_tabs=0
win_width={width_px}
win_height={height_px}
splitter_pos=90
media_in_new_tab=0
desktop_folder_new_win=1
side_pane_mode=places
view_mode=icon
show_hidden=0
sort=name;ascending;
toolbar=hidden;
show_statusbar=0
pathbar_mode_buttons=0
"""
_LIBFM = f"""[config]
single_click=0
use_trash=0
confirm_del=1
confirm_trash=1
quick_exec=1
terminal=xterm
thumbnail_local=1
[ui]
big_icon_size={ICON_PX}
small_icon_size=16
pane_icon_size=16
thumbnail_size={ICON_PX}
show_thumbnail=0
shadow_hidden=0
[places]
places_home=1
places_desktop=1
places_root=0
places_computer=0
places_trash=0
places_applications=0
places_network=0
places_unmounted=0
"""


def prepare(home: Home) -> None:
    """Write the programs' settings and the icons of the desktop."""
    config, root = home.config, home.session.home
    geometry = f"{min(config.width_px // 7, 80)}x{min(config.height_px // 26, 24)}"
    furnish(home, f"xterm -fa '{MONO}' -fs {FONT_PT} -geometry {geometry} +sb -T Terminal -e")
    launcher(home, "Home", "exec pcmanfm --new-win ~")
    launcher(home, "Trash", "exec pcmanfm --new-win ~/Trash")
    fonts = "".join(
        f'<font place="{place}"><name>{FONT}</name><size>{FONT_PT}</size></font>'
        for place in _PLACES
    )
    edges = "".join(
        f'<context name="{edge}"><mousebind button="Left" action="Press"><action name="Focus"/>'
        f'<action name="Raise"/></mousebind><mousebind button="Left" action="Drag">'
        f'<action name="Resize"/></mousebind></context>'
        for edge in _EDGES
    )
    write(root / ".config/openbox/rc.xml", _RC.format(fonts=fonts, edges=edges))
    write(root / ".config/openbox/menu.xml", _MENU)
    write(root / ".local/share/themes/neuralos/openbox-3/themerc", _THEME)
    size = {
        "width_px": round(0.62 * config.width_px),
        "height_px": round(0.55 * config.height_px),
    }
    write(root / ".config/pcmanfm/default/pcmanfm.conf", _PCMANFM.format(**size))
    write(root / ".config/libfm/libfm.conf", _LIBFM)
    write(root / ".config/pcmanfm/default/desktop-items-0.conf", _desktop_items(home))


@dataclass(frozen=True, slots=True)
class LeanIcons:
    """Where pcmanfm puts the icons: the apps at their fixed places, folders in free cells."""

    config: X11Config
    in_cell_px: tuple[int, int]
    """Where an icon lies in its cell of the grid."""

    def rects(self, folders: Sequence[str]) -> list[tuple[str, Rect]]:
        """Return the icons' places; the grid is filled by column in the order of the names."""
        fixed = _fixed(self.config)
        taken = {corner for _, corner in fixed}
        free = (corner for corner in _cells(self.config) if corner not in taken)
        places = [*fixed, *zip(sorted(folders, key=str.casefold), free, strict=False)]
        dx_px, dy_px = self.in_cell_px
        return [(name, (x + dx_px, y + dy_px, ICON_PX, ICON_PX)) for name, (x, y) in places]


def find_icons(config: X11Config, frame: Frame) -> LeanIcons | None:
    """Return where the icons are, if each app's is drawn in its cell already."""
    offsets = set()
    for app, (x_px, y_px) in _fixed(config):
        found = find_icon(frame, app, (x_px, y_px, *_CELL_PX))
        if found is None:
            return None
        offsets.add((found[0] - x_px, found[1] - y_px))
    return LeanIcons(config, min(offsets))


def _fixed(config: X11Config) -> list[tuple[str, tuple[int, int]]]:
    apps = [app for app in APPS if config.browser or app != "Browser"]
    return list(zip(apps, _cells(config), strict=False))


def _cells(config: X11Config) -> list[tuple[int, int]]:
    """Return the upper left corners of pcmanfm's grid, column by column."""
    width_px, height_px = _CELL_PX
    columns = max(1, (config.width_px - _MARGIN_PX) // width_px)
    rows = max(1, (config.height_px - 2 * _MARGIN_PX) // height_px)
    return [
        (_MARGIN_PX + column * width_px, _MARGIN_PX + row * height_px)
        for column in range(columns)
        for row in range(rows)
    ]


def _desktop_items(home: Home) -> str:
    return f"""[*]
wallpaper_mode=crop
wallpaper={home.session.home}/.wallpaper.png
desktop_bg=#3c6ea5
desktop_fg=#ffffff
desktop_shadow=#1d3048
desktop_font={FONT} {FONT_PT}
show_wm_menu=0
sort=name;ascending;
show_documents=0
show_trash=0
show_mounts=0
""" + "".join(f"[{app}.desktop]\nx={x_px}\ny={y_px}\n" for app, (x_px, y_px) in _fixed(home.config))
