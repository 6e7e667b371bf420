"""Settings that a trainer registers: numbers, flags and choices, set while it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from interactive.commands import UpdateSetting
from interactive.integrations.names import refuse_name
from interactive.outcome import Reason, Rejected
from interactive.trainer import Plan


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it may be, and how it is read and written."""

    about: Mapping[str, Any]
    read: Callable[[], Any]
    write: Callable[[Any], None]

    def refuse(self, name: str, value: Any) -> Rejected | None:
        """Return why the setting may not have a value; nothing is clamped or converted."""
        kind = self.about["kind"]
        if kind == "flag":
            if not isinstance(value, bool):
                return Rejected(Reason.MALFORMED, f"{name} is true or false, not {value!r}")
            return None
        if kind == "choice":
            if value in self.about["choices"] and isinstance(value, str):
                return None
            return refuse_name(Reason.OUT_OF_BOUNDS, f"{name} of", value, self.about["choices"])
        whole = bool(self.about.get("whole"))
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            wanted = "a whole number" if whole else "a number"
            return Rejected(Reason.MALFORMED, f"{name} is {wanted}, not {value!r}")
        low, high = self.about["low"], self.about["high"]
        if not low <= value <= high:
            hint = f"{name} lies between {low} and {high}, not {value!r}"
            return Rejected(Reason.OUT_OF_BOUNDS, hint)
        return None


class Settings:
    """The settings of a trainer, by name."""

    def __init__(self) -> None:
        self._settings: dict[str, Setting] = {}

    def number(
        self,
        name: str,
        read: Callable[[], float | None],
        write: Callable[[Any], None],
        *,
        low: float,
        high: float,
        whole: bool = False,
    ) -> None:
        """Register a number between two bounds, both allowed; a ``whole`` one is an int."""
        about = {"kind": "number", "low": low, "high": high, **({"whole": True} if whole else {})}
        convert: Callable[[Any], None] = write if whole else lambda value: write(float(value))
        self._add(name, Setting(about, read, convert))

    def flag(self, name: str, read: Callable[[], bool], write: Callable[[bool], None]) -> None:
        """Register something that is on or off."""
        self._add(name, Setting({"kind": "flag"}, read, write))

    def choice(
        self,
        name: str,
        read: Callable[[], str],
        write: Callable[[str], None],
        *,
        choices: tuple[str, ...],
    ) -> None:
        """Register one word out of several."""
        self._add(name, Setting({"kind": "choice", "choices": list(choices)}, read, write))

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return what each setting may be."""
        return {name: dict(setting.about) for name, setting in self._settings.items()}

    def plan(self, command: UpdateSetting) -> Plan | Rejected:
        """Plan to give a setting a value."""
        name, value = command.setting, command.value
        setting = self._settings.get(name)
        if setting is None:
            return refuse_name(Reason.UNKNOWN_SETTING, "setting", name, self._settings)
        if refused := setting.refuse(name, value):
            return refused
        return Plan(
            old={"setting": name, "value": setting.read()},
            requested={"setting": name, "value": value},
            effective={"setting": name, "value": value},
            apply=lambda: setting.write(value),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the present values."""
        return {name: setting.read() for name, setting in self._settings.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write values back; a setting that the state does not know keeps its own.

        Raises:
            ValueError: the state knows a setting that is not registered, or a value that
                it may not have; nothing was written.
        """
        for name, value in state.items():
            setting = self._settings.get(name)
            if setting is None:
                raise ValueError(f"setting {name!r} is not registered here")
            if refused := setting.refuse(name, value):
                raise ValueError(refused.hint)
        for name, value in state.items():
            self._settings[name].write(value)

    def _add(self, name: str, setting: Setting) -> None:
        if name in self._settings:
            raise ValueError(f"setting {name!r} is registered already")
        self._settings[name] = setting
