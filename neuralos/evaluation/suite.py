"""Fixed suites of episodes by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from importlib import resources
from typing import Any

from data_collection.desktops.scripted import ScriptedConfig
from neuralos.evaluation.episode import Episode, Stage

SUITES = ("basic-v1",)
LEAST_SEED = 10**18
"""Seeds from here on belong to suites: training derives its own as ``run seed · 100,003 + n``."""


class UnknownSuite(ValueError):
    """No suite goes by that name; the message names the nearest."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A desktop's configuration and the episodes played on it.

    ``kinds`` are the kinds of task of its task users, named so that a new kind in the code
    changes no episode.
    """

    name: str
    config: ScriptedConfig
    kinds: tuple[str, ...]
    episodes: tuple[Episode, ...]

    @property
    def digest(self) -> str:
        """The hash of all that the suite is."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def stage(self) -> Stage:
        """What its episodes are played on."""
        return Stage(self.config, self.kinds)

    def to_json(self) -> dict[str, Any]:
        """Return the suite as a JSON object."""
        return {
            "name": self.name,
            "config": asdict(self.config),
            "kinds": list(self.kinds),
            "episodes": [episode.to_json() for episode in self.episodes],
        }

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Suite:
        """Rebuild a suite."""
        config = {**obj["config"], "icons": tuple(obj["config"]["icons"])}
        episodes = tuple(Episode.from_json(one) for one in obj["episodes"])
        return cls(obj["name"], ScriptedConfig(**config), tuple(obj["kinds"]), episodes)

    def part(self, each: int) -> Suite:
        """Return the suite with only the first ``each`` episodes of every group."""
        kept: list[Episode] = []
        for group in dict.fromkeys(episode.group for episode in self.episodes):
            kept += [episode for episode in self.episodes if episode.group == group][:each]
        return replace(self, name=f"{self.name}, {each} of each group", episodes=tuple(kept))


def load_suite(name: str) -> Suite:
    """Return a suite that is part of the package.

    Raises:
        UnknownSuite: there is none of that name.
    """
    if name not in SUITES:
        nearest = get_close_matches(name, SUITES, n=1, cutoff=0.0)[0]
        raise UnknownSuite(f"no suite {name!r}; did you mean {nearest!r}?")
    file = resources.files("neuralos.evaluation") / f"{name.replace('-', '_')}.json"
    return Suite.from_json(json.loads(file.read_text(encoding="utf-8")))


def dump_suite(suite: Suite) -> str:
    """Return a suite as the text of its file, one episode a line."""
    obj = suite.to_json()
    episodes: Sequence[dict[str, Any]] = obj.pop("episodes")
    lines = ",\n".join(f"  {json.dumps(episode)}" for episode in episodes)
    return f'{json.dumps(obj)[:-1]}, "episodes": [\n{lines}\n]}}\n'
