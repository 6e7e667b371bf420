"""Packages that only some uses need."""

from __future__ import annotations


class ExtraMissing(ImportError):
    """A package that this needs is not installed; ``hint`` is the line that installs it.

    Args:
        package: what is missing.
        extra: the extra of this project that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed")
        self.package = package
        self.hint = f"pip install 'neuralos-interactive[{extra}]'"
