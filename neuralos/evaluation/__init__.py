"""Honest evaluation: fixed episodes, strict events, baselines beside every number."""

from neuralos.evaluation.evaluation import Evaluation, evaluate, evaluate_suite

__all__ = ["Evaluation", "evaluate", "evaluate_suite"]
