"""What a session finds in its HOME: programs' settings, icons, launchers, a few documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from data_collection.desktops.scripted.apps.pages import START
from data_collection.desktops.x11 import art
from data_collection.desktops.x11.config import X11Config
from data_collection.desktops.x11.session import Session

FONT = "DejaVu Sans"
MONO = "DejaVu Sans Mono"
FONT_PT = 7
ICON_PX = 32
APPS = ("Home", "Trash", "Terminal", "Browser")
"""The icons of the desktop, from top to bottom."""

_THEME_NAMES = {
    "folder": "folder", "inode-directory": "folder", "user-home": "home", "user-desktop": "folder",
    "folder-home": "home", "gnome-fs-home": "home", "user-trash": "trash", "gnome-fs-desktop":
    "folder", "user-trash-full": "trash", "text-x-generic": "file", "text-plain": "file",
    "gtk-file": "file", "gtk-directory": "folder", "application-x-executable": "file",
    "unknown": "file", "empty": "file", "folder-documents": "folder", "folder-open": "folder",
}  # fmt: skip
"""Names that file managers ask the icon theme for, and which of our icons they get."""

_DOCUMENTS = {
    "Documents/letter.txt": "Dear reader,\nthis is a letter.\n",
    "Documents/list.txt": "bread\napples\ntea\n",
    "Pictures/readme.txt": "No pictures yet.\n",
    "Trash/old.txt": "Nobody needs this any more.\n",
    "notes.txt": "Water the plants.\n",
}

_GTK3 = f"""[Settings]
gtk-font-name={FONT} {FONT_PT}
gtk-icon-theme-name=neuralos
gtk-cursor-blink=false
gtk-enable-animations=false
gtk-overlay-scrolling=false
gtk-recent-files-enabled=false
"""
_GTK2 = f"""gtk-font-name="{FONT} {FONT_PT}"
gtk-icon-theme-name="neuralos"
gtk-cursor-blink=0
gtk-enable-tooltips=0
gtk-menu-popup-delay=1500
gtk-menu-images=0
gtk-button-images=0
"""
_BASHRC = r"""PS1='\W $ '
HISTFILE=
PROMPT_COMMAND='pwd >"$TERMINAL_LOG.cwd"'
bind 'set enable-bracketed-paste off' 2>/dev/null
bind 'set bell-style none' 2>/dev/null
bind 'set completion-query-items 0' 2>/dev/null
"""
# script does not heed the hang-up that a closing terminal sends: it is passed on as TERM.
_SHELL = """#!/bin/bash
script -qfc 'bash --noprofile' "$TERMINAL_LOG" <&0 &
trap "kill $! 2>/dev/null" HUP
wait
"""
_CHROMIUM_FLAGS = (
    "--no-first-run", "--no-default-browser-check", "--test-type", "--disable-gpu",
    "--disable-background-networking", "--disable-sync", "--disable-component-update",
    "--disable-default-apps", "--disable-extensions", "--disable-domain-reliability",
    "--disable-client-side-phishing-detection", "--disable-breakpad", "--disable-crash-reporter",
    "--disable-dev-shm-usage", "--disable-smooth-scrolling", "--disable-infobars",
    "--metrics-recording-only", "--no-pings", "--mute-audio", "--password-store=basic",
    "--use-mock-keychain", "--ozone-platform=x11", "--wm-window-animations-disabled",
    "--animation-duration-scale=0",
    "--disable-features=Translate,MediaRouter,OptimizationHints,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,HttpsFirstModeV2,DialMediaRouteProvider,"
    "AutofillServerCommunication,CertificateTransparencyComponentUpdater",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Home:
    """Where a session keeps what."""

    session: Session
    config: X11Config
    site_port: int

    @property
    def desktop(self) -> Path:
        """The folder that the desktop shows."""
        return self.session.home / "Desktop"

    @property
    def launches(self) -> Path:
        """The file to which each launcher adds a line when it is used."""
        return self.session.run_dir / "launches"

    def terminal_log(self, pid: int) -> Path:
        """The file that holds what a terminal showed; with ``.cwd`` added, where it is."""
        return self.session.run_dir / f"terminal-{pid}"

    @property
    def env(self) -> dict[str, str]:
        """The environment of every program of the session, without its display."""
        home, run = self.session.home, self.session.run_dir
        return {
            "HOME": str(home),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games",
            "USER": "user", "LOGNAME": "user", "SHELL": "/bin/bash",
            "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "LANGUAGE": "C", "TZ": "UTC",
            "XDG_CONFIG_HOME": str(home / ".config"), "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_DATA_HOME": str(home / ".local/share"),
            "XDG_STATE_HOME": str(home / ".local/state"),
            "XDG_DATA_DIRS": "/usr/local/share:/usr/share", "XDG_CONFIG_DIRS": "/etc/xdg",
            "XDG_RUNTIME_DIR": str(run), "TMPDIR": str(run), "TMP": str(run),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run / 'bus'}",
            "ICEAUTHORITY": str(run / "ice"), "XAUTHORITY": str(run / "xauthority"),
            "NO_AT_BRIDGE": "1", "GIO_USE_VFS": "local", "GIO_USE_VOLUME_MONITOR": "unix",
            "GTK_OVERLAY_SCROLLING": "0",
            "XCURSOR_PATH": str(home / ".icons"), "XCURSOR_THEME": "none", "XCURSOR_SIZE": "16",
        }  # fmt: skip


def furnish(home: Home, terminal: str) -> None:
    """Write what both profiles need.

    Args:
        home: the session.
        terminal: the shell command that opens a terminal which runs ``$SHELL_IN_IT``.
    """
    root = home.session.home
    write(root / ".config/gtk-3.0/settings.ini", _GTK3)
    write(root / ".gtkrc-2.0", _GTK2)
    write(root / ".bashrc", _BASHRC)
    write(
        root / ".config/user-dirs.dirs",
        'XDG_DESKTOP_DIR="$HOME/Desktop"\n'
        + "".join(
            f'XDG_{name}_DIR="$HOME/"\n'
            for name in ("DOWNLOAD", "TEMPLATES", "PUBLICSHARE", "MUSIC", "VIDEOS")
        )
        + 'XDG_DOCUMENTS_DIR="$HOME/Documents"\nXDG_PICTURES_DIR="$HOME/Pictures"\n',
    )
    for name, text in _DOCUMENTS.items():
        write(root / name, text)
    home.desktop.mkdir(parents=True, exist_ok=True)
    config = home.config
    write(root / ".wallpaper.png", art.wallpaper_png(config.width_px, config.height_px))
    _icon_theme(root)
    _terminal(home, terminal)
    if config.browser:
        _browser(home)
    write(home.launches, "")
    (home.session.run_dir / "services").mkdir()
    write(home.session.run_dir / "bus.conf", _bus_config(home.session.run_dir))


def write(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


def launcher(home: Home, app: str, command: str) -> None:
    """Put an icon on the desktop that notes its use and then runs a shell command."""
    script = home.session.home / ".local/bin" / app.lower()
    write(script, f'#!/bin/bash\necho "{app}" >>"{home.launches}"\n{command}\n', 0o755)
    write(
        home.desktop / f"{app}.desktop",
        f"[Desktop Entry]\nType=Application\nName={app}\nExec={script}\n"
        f"Icon={home.session.home}/.icons/{app.lower()}.png\nStartupNotify=false\n",
        0o755,
    )


def _icon_theme(root: Path) -> None:
    for app in APPS:
        write(root / ".icons" / f"{app.lower()}.png", art.icon_png(app.lower(), ICON_PX))
    theme = root / ".icons/neuralos"
    sizes = (16, 24, 32)
    sections = "".join(
        f"\n[{px}]\nSize={px}\nType=Threshold\nThreshold=4\nContext=Places\n" for px in sizes
    )
    directories = ",".join(map(str, sizes))
    index = "[Icon Theme]\nName=neuralos\nComment=-\nInherits=Adwaita,hicolor\n"
    write(theme / "index.theme", index + f"Directories={directories}\n" + sections)
    for px in sizes:
        for name, icon in _THEME_NAMES.items():
            write(theme / str(px) / f"{name}.png", art.icon_png(icon, px))


def _terminal(home: Home, terminal: str) -> None:
    """A terminal keeps what it shows in a log named after its process."""
    log = home.session.run_dir / "terminal-$$"
    inner = home.session.home / ".local/bin/shell"
    write(inner, _SHELL, 0o755)
    launcher(home, "Terminal", f'cd ~\nexport TERMINAL_LOG="{log}"\nexec {terminal} "{inner}"')


def _browser(home: Home) -> None:
    config, run = home.config, home.session.run_dir
    profile = home.session.home / ".config/chromium"
    preferences = {
        "browser": {"custom_chrome_frame": False, "has_seen_welcome_page": True},
        "distribution": {"skip_first_run_ui": True},
        "bookmark_bar": {"show_on_all_tabs": False},
        "credentials_enable_service": False,
        "search": {"suggest_enabled": False},
        "translate": {"enabled": False},
    }
    write(profile / "Default/Preferences", json.dumps(preferences))
    write(profile / "First Run", "")
    scale = browser_scale(config.width_px)
    width_px = round(min(0.78 * config.width_px, 900))
    height_px = round(min(0.72 * config.height_px, 700))
    flags = [
        *_CHROMIUM_FLAGS,
        f"--host-resolver-rules=MAP * 127.0.0.1:{home.site_port}",
        "--no-proxy-server",
        f"--user-data-dir={profile}",
        f"--disk-cache-dir={run}/cache",
        f"--force-device-scale-factor={scale}",
        f"--window-size={round(width_px / scale)},{round(height_px / scale)}",
        "--window-position=60,24",
    ]
    quoted = " ".join(f"'{flag}'" for flag in flags)
    # As root Chromium runs only without its sandbox.
    root_flag = '[ "$(id -u)" = 0 ] && set -- --no-sandbox\n'
    launcher(home, "Browser", f'{root_flag}exec chromium {quoted} "$@" {START}')


def browser_scale(width_px: int) -> float:
    """Return how large the browser draws: on a small screen it has to be small, too."""
    return 0.75 if width_px < 800 else 1.0


def _bus_config(run_dir: Path) -> str:
    """Return the D-Bus session's settings: only what a profile puts there starts on request."""
    return f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={run_dir}/bus</listen>
<servicedir>{run_dir}/services</servicedir><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""
