"""The ``neuralos`` command. Each sub-command is imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from experiments.console import run_cli

COMMANDS: dict[str, tuple[str, str]] = {
    "live": ("experiments.commands.live:live", "The whole loop: desktop, training run, you."),
    "train": ("experiments.commands.train:train", "A training run with its control server."),
    "record": ("experiments.commands.record:record", "The window alone: record a desktop."),
    "collect": ("experiments.commands.collect:collect", "Scripted users at desktops, as traces."),
    "traces": ("experiments.commands.traces:traces", "Look at traces, check, move, withdraw."),
    "serve": ("experiments.commands.serve:serve", "The server of a run that does not train."),
    "play": ("experiments.commands.play:play", "The simulator in the window."),
    "checkpoint": (
        "experiments.commands.checkpoint:checkpoint",
        "Import the public model, check the import.",
    ),
    "evaluate": ("experiments.commands.evaluate:evaluate", "How good a simulator is, in numbers."),
    "bases": ("experiments.commands.bases:bases", "The trained simulators that come with it."),
    "ctl": ("experiments.commands.ctl:ctl", "Look at a run, steer it, replay it."),
    "compare": ("experiments.commands.compare:compare", "Runs side by side, as a page."),
    "mcp": ("experiments.commands.mcp:mcp", "A run as tools for a language model's client."),
    "agent": ("experiments.commands.agent:agent", "An agent that steers a run."),
    "doctor": ("experiments.commands.doctor:doctor", "What is here, and what is missing."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports each at its call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; ``None`` for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neuralos-interactive")
def cli(**_: Any) -> None:
    """Train a simulator of a desktop while people and agents steer the run.

    Start with `neuralos live`. It opens a desktop for you to use, trains a simulator on
    what you do, and prints the address of the page from which you steer it.
    """


def main() -> None:
    """Run the console script."""
    sys.exit(run_cli(cli, sys.argv[1:]))


if __name__ == "__main__":
    main()
