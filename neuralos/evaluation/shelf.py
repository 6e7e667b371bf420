"""Where a suite's passages come from: kept in a cache folder, made and checked where missing."""

from __future__ import annotations

import io
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from data_collection.action import Action, Press
from neuralos.evaluation.episode import Episode
from neuralos.evaluation.film import checked_film
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.suite import Suite
from neuralos.evaluation.transitions import Transition
from neuralos.shapes import Screen

CACHE_VARIABLE = "NEURALOS_CACHE"
_FORMAT = 1
_KEY_SETS = ("keys", "keys_held")
_ARRAYS = ("frames", "bare_frames", "bare_index")


def default_cache() -> Path:
    """Return the folder that ``NEURALOS_CACHE`` names, or the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "neuralos"


class Shelf:
    """The passages of a suite, each read from the cache or made anew and put there.

    Args:
        suite: whose passages.
        screen: what the simulator shows.
        folder: the cache; None keeps nothing.
    """

    def __init__(self, suite: Suite, screen: Screen, folder: Path | None) -> None:
        self.suite = suite
        self.screen = screen
        self._folder = folder

    def passage(self, episode: Episode) -> Passage:
        """Return the passage of an episode.

        Raises:
            SuiteMismatch: the desktop no longer gives what the suite was fixed with.
        """
        path = None if self._folder is None else self._folder / self._name(episode)
        if path is not None:
            with suppress(OSError, ValueError, KeyError, zstandard.ZstdError):
                return _unpack(path.read_bytes())
        passage = checked_film(episode, self.suite.stage, self.screen)
        if path is not None:
            # A full disk or a folder that may not be written costs time, not the evaluation.
            with suppress(OSError):
                _write(path, _pack(passage))
        return passage

    def _name(self, episode: Episode) -> str:
        """Return a file name that holds all that the passage depends on."""
        stem = f"{episode.id}-{episode.digest}-{self.screen.reduction}"
        return f"evaluation-{_FORMAT}/{stem}.passage"


def _pack(passage: Passage) -> bytes:
    plain: dict[str, Any] = {
        "id": passage.id,
        "group": passage.group,
        "reduction": passage.reduction,
        "warm": passage.warm,
        "decisive": passage.decisive,
        "event": passage.event,
        "transitions": [asdict(change) for change in passage.transitions],
        "done": [_action_to_json(action) for action in passage.done],
    }
    body = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(passage, name) for name in _ARRAYS}
    np.savez(body, plain=np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8), **arrays)
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(body.getvalue())


def _unpack(packed: bytes) -> Passage:
    body = zstandard.ZstdDecompressor().decompress(packed)
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        plain = json.loads(arrays["plain"].tobytes())
        plain["done"] = tuple(_action_from_json(one) for one in plain["done"])
        plain["transitions"] = tuple(Transition(**one) for one in plain["transitions"])
        return Passage(**plain, **{name: arrays[name] for name in _ARRAYS})


def _action_to_json(action: Action) -> dict[str, Any]:
    keys = {name: sorted(getattr(action, name)) for name in _KEY_SETS}
    return {**asdict(action), **keys}


def _action_from_json(obj: dict[str, Any]) -> Action:
    press = obj["last_press"]
    return Action(
        **{
            **obj,
            **{name: frozenset(obj[name]) for name in _KEY_SETS},
            **{name: tuple(obj[name]) for name in ("held", "clicked")},
            "last_press": Press(**press) if press else None,
        }
    )


def _write(path: Path, packed: bytes) -> None:
    """Write a file so that a reader finds it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(packed)
    Path(file.name).replace(path)
