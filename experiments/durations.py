"""Durations on the command line."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """Seconds, with an optional unit: ``90``, ``120s``, ``3m``, ``1h``."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the duration in seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration; say 90, 120s, 3m or 1h", param, ctx)
        return float(found[1]) * _UNITS_S[found[2]]
