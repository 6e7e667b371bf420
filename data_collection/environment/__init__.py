"""Desktops as a Gymnasium environment: importing this registers ``Desktop-v0``."""

from data_collection.extras import ExtraMissing

try:
    import gymnasium
except ImportError:
    raise ExtraMissing("gymnasium", "gym") from None

from data_collection.environment.desktop_env import DesktopEnv
from data_collection.environment.hand import KEYS
from data_collection.environment.task_goal import ImpossibleTask

__all__ = ["ENV_ID", "KEYS", "DesktopEnv", "ImpossibleTask"]

ENV_ID = "Desktop-v0"
_MINUTE_STEPS = 900

if ENV_ID not in gymnasium.registry:
    gymnasium.register(
        ENV_ID, f"{DesktopEnv.__module__}:{DesktopEnv.__name__}", max_episode_steps=_MINUTE_STEPS
    )
