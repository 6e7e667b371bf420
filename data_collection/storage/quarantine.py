"""Bodies that were refused, and the reasons, apart from the traces."""

from __future__ import annotations

from pathlib import Path

from data_collection.storage import trace_file
from data_collection.storage.durable import sync_folder, write_atomic
from data_collection.storage.index import QuarantinedClip

QUARANTINE_FOLDER = "quarantine"


def keep(root: Path, clip: QuarantinedClip, body: bytes) -> None:
    """Keep a refused body and its reason in a store's folder.

    Raises:
        ValueError: the trace id may not name a file.
    """
    folder = root / QUARANTINE_FOLDER
    folder.mkdir(exist_ok=True)
    stem = f"{_stem(clip.trace_id)}.{clip.seq}.{clip.body_sha[:16]}"
    write_atomic(folder / f"{stem}.clip", body)
    write_atomic(folder / f"{stem}.reason.txt", f"{clip.code}: {clip.hint}\n".encode())


def destroy(root: Path, trace_id: str, first: int, last: int) -> int:
    """Delete what was refused of clips ``first`` to ``last``; return how many files."""
    folder = root / QUARANTINE_FOLDER
    found = [
        path
        for path in folder.glob(f"{_stem(trace_id)}.*")
        if first <= int(path.name.split(".")[1]) <= last
    ]
    for path in found:
        path.unlink()
    if found:
        sync_folder(folder)
    return len(found)


def _stem(trace_id: str) -> str:
    return trace_file.file_name(trace_id).removesuffix(trace_file.SUFFIX)
