"""What clients of a run may write: every command, good and bad, for any moment."""

from __future__ import annotations

from hypothesis import strategies as st

from interactive.policy import AgentLimits, Policy, Role

ISSUERS = {Role.OPERATOR: "operator", Role.AGENT: "agent"}
WINDOW_S = 30.0
LR = {"command": "update_optimizer", "lr": 0.04}
NOISE = {"command": "update_setting", "setting": "noise", "value": 0.2}
POLICY = Policy(
    agent=AgentLimits(
        forbidden=(),
        approval={
            "load_checkpoint": 0.0,
            "update_optimizer": 0.0,
            "note": WINDOW_S,
            "save_checkpoint": WINDOW_S,
        },
        lr_ratio=0.0,
        commands=0,
        commands_per_minute=0,
    )
)

commands = st.one_of(
    st.builds(
        lambda lr: {"command": "update_optimizer", "lr": lr}, st.sampled_from([0.5, 0.02, 0.01, 7])
    ),
    st.sampled_from(
        [
            {"command": "update_optimizer", "weight_decay": 0.1},
            {"command": "replace_schedule", "schedule": "constant", "lr": 0.03},
            {"command": "scale_schedule", "factor": 0.5},
            {"command": "update_setting", "setting": "noise", "value": 0.3},
            {"command": "update_setting", "setting": "colour", "value": 0.3},
            {"command": "module_operation", "operation": "freeze", "module": "first"},
            {"command": "batch", "commands": [LR, NOISE]},
            {"command": "batch", "commands": [LR, LR]},
            {"command": "step", "steps": 2},
            {"command": "pause"},
            {"command": "resume"},
            {"command": "evaluate"},
            {"command": "evaluate", "evaluation": "exam"},
            {"command": "save_checkpoint"},
            {"command": "note", "text": "seen"},
            {"command": "stop"},
            {"command": "explode"},
        ]
    ),
    st.builds(
        lambda which, branch: {"command": "load_checkpoint", "checkpoint": which, **branch},
        st.integers(-1, 20),
        st.sampled_from([{}, {"branch": "b1"}, {"branch": "try"}]),
    ),
)
moments = st.fixed_dictionaries(
    {},
    optional={
        "at_step": st.integers(-1, 5),
        "expires_at_step": st.integers(0, 4),
        "if_generation": st.integers(-1, 1),
        "after_evaluation": st.booleans(),
        "branch": st.sampled_from(["main", "b1", "try"]),
        "supersedes": st.integers(0, 6),
    },
)


messages = st.tuples(st.sampled_from(list(ISSUERS)), commands, moments)
