"""Keeps a library that collects garbage at every turn from walking the whole heap each time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> Iterator[None]:
    """Accelerate collects at the start of each training; modules and pytest are no garbage."""
    import accelerate  # noqa: F401
    from transformers import Trainer  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
