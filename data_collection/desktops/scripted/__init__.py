"""A small desktop drawn in Python: deterministic, fast, with readable state."""

from data_collection.desktops.scripted.config import ScriptedConfig
from data_collection.desktops.scripted.desktop import ScriptedDesktop

__all__ = ["ScriptedConfig", "ScriptedDesktop"]
