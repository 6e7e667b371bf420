"""Strict configuration: TOML tables become frozen dataclasses, each defined beside its owner.

Any package may take its section of the same file:
``read_document(path, overrides).section("server", ServerConfig)``.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

Section = TypeVar("Section")


class ConfigError(ValueError):
    """A configuration says something that nobody reads, or reads otherwise."""


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file with its overrides, before its sections are taken."""

    name: str
    tables: Mapping[str, Any]

    def section(self, name: str, cls: type[Section]) -> Section:
        """Return a section as its dataclass; what is absent keeps its default.

        Raises:
            ConfigError: a key is unknown, or a value has another type.
        """
        return _build(cls, self.tables.get(name, {}), f"{self.name}: [{name}]")

    def check_sections(self, known: Iterable[str]) -> None:
        """Refuse sections that nobody reads.

        Raises:
            ConfigError: a section is not among ``known``; the message names the nearest.
        """
        for name in self.tables:
            _check_known(name, list(known), f"{self.name}: section")


def read_document(path: Path | None, overrides: Sequence[str] = ()) -> Document:
    """Read a TOML file, or nothing, and apply overrides such as ``optimizer.lr=1e-3``.

    Raises:
        ConfigError: the file or an override cannot be parsed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    for override in overrides:
        _override(tables, override)
    return Document(path.name if path else "defaults", tables)


def to_toml(sections: Mapping[str, Any]) -> str:
    """Return dataclasses as a TOML document that ``read_document`` reads back."""
    return "\n".join("\n".join(_table(name, value)) + "\n" for name, value in sections.items())


def _override(tables: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or len(path) < 2:
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    table = tables
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"override {override!r}: {part!r} is not a section")
    table[path[-1]] = _parse_value(text.strip())


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(cls: type[Section], table: Any, where: str) -> Section:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is not a table")
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    for key in table:
        _check_known(key, names, f"{where} key")
    values = {key: _convert(value, hints[key], f"{where} {key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value, where)
    if origin in (typing.Union, types.UnionType):
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(item, arguments[0], where) for item in value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {key: _convert(item, arguments[1], where) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{where}: {value!r} is not of type {wanted}")


def _check_known(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        nearest = get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ConfigError(f"{what} {name!r} is unknown{hint}")


def _table(name: str, section: Any) -> list[str]:
    lines, below = [f"[{name}]"], []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            below += ["", *_table(f"{name}.{field.name}", value)]
        elif value is not None:
            lines.append(f"{field.name} = {_value(value)}")
    return lines + below


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if dataclasses.is_dataclass(value):
        said = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _value({name: item for name, item in said.items() if item is not None})
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return repr(value)


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _value(key)
