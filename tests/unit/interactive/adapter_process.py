"""A training process to be killed: ``python -m …adapter_process LOOP RUN STEP_S``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.fakes import World, delivered
from tests.unit.interactive.adapter_loops import LOOPS, Session

STEPS = 30
COMMANDS: list[tuple[int, dict[str, Any]]] = [
    (4, {"command": "update_setting", "setting": "dropout", "value": 0.4}),
    (7, {"command": "scale_schedule", "factor": 0.5}),
    (9, {"command": "save_checkpoint"}),
    (12, {"command": "module_operation", "operation": "reset_parameters", "module": "head"}),
    (14, {"command": "evaluate", "evaluation": "evaluate"}),
    (17, {"command": "load_checkpoint", "checkpoint": "main-000008", "branch": "b1"}),
    (21, {"command": "update_optimizer", "lr": 0.004}),
    (25, {"command": "module_operation", "operation": "freeze", "module": "body"}),
]


def main(loop: str, run_dir: str, step_s: str) -> None:
    arrived = [delivered(n, c, at_step=step) for n, (step, c) in enumerate(COMMANDS, 1)]
    LOOPS[loop](
        Session(
            Path(run_dir),
            World(arrived=arrived),
            end_step=STEPS,
            checkpoint_every=5,
            planned=STEPS,
            step_s=float(step_s),
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
