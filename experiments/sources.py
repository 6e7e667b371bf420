"""The data sources of a run, by the names that its mixture weighs."""

BASE = "base"
"""Scripted users, before the run began."""
LIVE = "live"
"""Whoever uses a window that feeds the run."""
