"""Where a key for somebody else's server is read from."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from experiments.console import Failure, Status


def read_key(variable: str | None, path: Path | None) -> str | None:
    """Return the key in an environment variable or a file; None where neither is named.

    Raises:
        Failure: it is not there, or others may read the file.
    """
    if variable is not None and path is not None:
        raise Failure(Status.USAGE, "usage", "name --key-env or --key-file, not both.")
    if variable is not None:
        key = os.environ.get(variable, "").strip()
        if not key:
            raise Failure(Status.USAGE, "no_key", f"the variable {variable} holds no key.")
        return key
    if path is None:
        return None
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            hint = f"chmod 600 {path}"
            raise Failure(Status.REFUSED, "open_key_file", f"others may read {path}.", hint)
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Status.USAGE, "no_key", f"no key in {path}: {error}.") from None
    if not key:
        raise Failure(Status.USAGE, "no_key", f"{path} is empty.")
    return key
