"""What the bits of a training run depend on, besides config, seed, ledger and data."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import diffusers
import numpy as np
import torch


def fingerprint() -> dict[str, str]:
    """Return processor, libraries, threads, flags, and a digest of this package's sources."""
    return {
        "machine": platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "deterministic": str(torch.are_deterministic_algorithms_enabled()),
        "code": _sources_digest(),
    }


def _sources_digest() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
