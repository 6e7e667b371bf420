"""What the files of a store hold that its index lacks, brought into the index.

After a crash that is at most one clip or withdrawal, and a torn end. After the index
itself is lost it is everything: the rows come back from the commit records in the files
under their own numbers, the withdrawals from the tombstones.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_collection.storage import trace_file
from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.durable import sync_folder
from data_collection.storage.index import Index, IndexFailed
from data_collection.storage.reading import read_body
from data_collection.storage.scanning import (
    FileScan,
    Found,
    FoundClip,
    FoundTombstone,
    scan_file,
)
from data_collection.storage.tombstone import TOMBSTONE_RECORD, Tombstone, Withdrawal
from data_collection.trace import ClipRow, ClipState, TraceHeader

INDEX_FILE = "index.db"
SET_ASIDE_FOLDER = "set-aside"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What opening a store, or one file, found and put right.

    ``trace`` is the trace's id, or a file's name where it holds no trace; ``clips`` how
    many were brought back; ``cut_bytes`` how much of a torn end is given up; ``lost`` the
    clips that were acknowledged and whose bytes are gone.
    """

    trace: str
    clips: int
    cut_bytes: int
    reason: str
    lost: tuple[int, ...] = ()


def open_index(root: Path) -> tuple[Index, list[Recovered]]:
    """Open the index of a store's folder; a damaged one is set aside for an empty one.

    Returns:
        The index, and what was put right.

    Raises:
        IndexFailed: the disk fails.
    """
    path = root / INDEX_FILE
    try:
        return Index.open(path), []
    except IndexFailed as error:
        if not error.is_damage:
            raise
        reason = str(error)
    folder = root / SET_ASIDE_FOLDER
    folder.mkdir(exist_ok=True)
    number = sum(1 for _ in folder.glob(INDEX_FILE + ".*"))
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(INDEX_FILE + suffix)
        if part.exists():
            os.replace(part, folder / f"{INDEX_FILE}.{number}{suffix}")
    sync_folder(root)
    moved = f"{SET_ASIDE_FOLDER}/{INDEX_FILE}.{number}"
    return Index.open(path), [
        Recovered(INDEX_FILE, 0, 0, f"{reason}; moved to {moved} and rebuilt from the files")
    ]


def recover_file(path: Path) -> Recovered:
    """Cut the torn end of a trace's file that is in no store, and close it.

    Raises:
        ValueError: the file holds no trace.
        OSError: it cannot be read or written.
    """
    header = trace_file.read_header(path)
    scan = scan_file(path, header)
    for gap in scan.gaps:
        trace_file.bridge(path, *gap)
    if not trace_file.is_sealed(path, scan.end):
        trace_file.seal(path, scan.end)
    clips = sum(isinstance(one, FoundClip) for one in scan.found)
    return Recovered(header.trace_id, clips, scan.cut_bytes, scan.reason)


def recover_store(root: Path, index: Index) -> tuple[dict[str, int], list[Recovered]]:
    """Bring what the files hold and the index lacks into the index.

    Args:
        root: the store's folder.
        index: its index, perhaps empty.

    Returns:
        Where each trace's data ends in its file, and what was put right.
    """
    # Together, since a half rebuilt index would not know that it is one.
    with index.together():
        return _recover_store(root, index)


def _recover_store(root: Path, index: Index) -> tuple[dict[str, int], list[Recovered]]:
    is_rebuilt = index.last_commit == 0 and not index.traces()
    ends: dict[str, int] = {}
    report: list[Recovered] = []
    found: list[Found] = []
    scans: dict[str, FileScan] = {}
    for path in sorted(root.glob("*" + trace_file.SUFFIX)):
        try:
            header = _open_header(path, index)
        except ValueError as error:
            report.append(Recovered(path.name, 0, 0, f"left alone: {error}"))
            continue
        start, lost = _settled_end(root, path, index, header)
        scan = scan_file(path, header, start)
        for gap in scan.gaps:
            trace_file.bridge(path, *gap)
        ends[header.trace_id] = scan.end
        if lost:
            report.append(_give_up(path, index, header, scan, lost))
            ends[header.trace_id] = int(path.stat().st_size)
        else:
            scans[header.trace_id] = scan
        found += scan.found
    clips = _apply(root, index, found, is_rebuilt)
    for trace_id, scan in scans.items():
        if clips.get(trace_id) or scan.cut_bytes or scan.gaps:
            reason = scan.reason or "had no row in the index"
            report.append(Recovered(trace_id, clips.get(trace_id, 0), scan.cut_bytes, reason))
    for trace in index.traces():
        if trace.header.trace_id not in ends:
            report.append(Recovered(trace.header.trace_id, 0, 0, "its file is missing"))
    return ends, report


def _open_header(path: Path, index: Index) -> TraceHeader:
    """Return a file's header, from the index if it has it; add it to the index if not."""
    known = index.trace(path.name.removesuffix(trace_file.SUFFIX))
    header = known[0] if known else trace_file.read_header(path)
    if trace_file.file_name(header.trace_id) != path.name:
        raise ValueError(f"{path.name} holds the trace {header.trace_id}")
    if known is None:
        index.add_trace(header)
    return header


def _settled_end(
    root: Path, path: Path, index: Index, header: TraceHeader
) -> tuple[int, list[ClipRow]]:
    """Return where the last indexed body ends that is there, and the rows beyond it.

    A row promises durable bytes; only a failing disk or a strange hand breaks that.
    """
    trace_id = header.trace_id
    end = index.end_of_last_body(trace_id)
    if end > path.stat().st_size:
        _note_purged(path, index, header)
        end = index.end_of_last_body(trace_id)
    if end == 0 or trace_file.is_sealed(path, end):
        return end, []
    purged = {w.clip.seq for w in index.withdrawals(trace_id) if w.purged}
    rows = [row for row in index.trace_rows(trace_id) if row.seq not in purged]
    lost: list[ClipRow] = []
    for row in sorted(rows, key=lambda row: -row.offset):
        try:
            read_body(root, row)
        except ClipCorrupt as error:
            if error.code != "purged":
                lost.append(row)
                continue
        return row.offset + row.length, lost
    return 0, lost


def _note_purged(path: Path, index: Index, header: TraceHeader) -> None:
    """Tell the index what a purge destroyed just before a crash."""
    for record in trace_file.scan(path):
        if isinstance(record, trace_file.NoteRecord) and record.name == TOMBSTONE_RECORD:
            tombstone = Tombstone.of_note(record.note, header)
            index.mark_purged(w.commit for w in tombstone.withdrawals if w.purged)


def _give_up(
    path: Path, index: Index, header: TraceHeader, scan: FileScan, lost: Sequence[ClipRow]
) -> Recovered:
    """Withdraw clips whose bytes are gone, so that no reader waits for them."""
    known = index.withdrawals(header.trace_id)
    lost_seqs = {row.seq for row in lost}
    index.mark_purged(w.commit for w in known if w.clip.seq in lost_seqs)
    live = [row for row in lost if row.state is ClipState.COMMITTED]
    first = index.last_commit + 1
    fresh = tuple(
        Withdrawal(row, commit, purged=True)
        for commit, row in enumerate(sorted(live, key=lambda row: row.seq), start=first)
    )
    whole = index.trace(header.trace_id) == (header, ClipState.TOMBSTONED)
    tombstone = Tombstone(0, -1, whole, fresh)
    # The cut may have taken older tombstones with it: they are told again.
    old = tuple(replace(w, purged=w.purged or w.clip.seq in lost_seqs) for w in known)
    repeated = [Tombstone(*interval, whole=False) for interval in index.refused(header.trace_id)]
    end = scan.end
    for one in (*repeated, replace(tombstone, withdrawals=old + fresh)):
        end = trace_file.append_note(path, end, *one.note())
    index.withdraw(header.trace_id, tombstone)
    lost_seqs_in_order = tuple(sorted(lost_seqs))
    names = ", ".join(map(str, lost_seqs_in_order))
    reason = f"lost the bytes of clips {names}"
    return Recovered(header.trace_id, 0, scan.cut_bytes, reason, lost_seqs_in_order)


def _apply(root: Path, index: Index, found: Sequence[Found], is_rebuilt: bool) -> dict[str, int]:
    """Commit what was found in the order of its numbers; return the clips per trace."""
    clips: dict[str, int] = {}
    for one in sorted(found, key=_order):
        if isinstance(one, FoundTombstone):
            _withdraw(index, one, is_rebuilt)
        elif index.clip(one.row.trace_id, one.row.seq) is None:
            _commit(root, index, one, is_rebuilt)
            clips[one.row.trace_id] = clips.get(one.row.trace_id, 0) + 1
    return clips


def _order(one: Found) -> tuple[float, float, str, int]:
    # Files older than commit records hold no numbers: their clips go by capture time.
    number = one.commit or float("inf")
    if isinstance(one, FoundTombstone):
        return number, float("inf"), one.trace_id, 0
    return number, one.row.captured_wall_s, one.row.trace_id, one.row.seq


def _commit(root: Path, index: Index, one: FoundClip, is_rebuilt: bool) -> None:
    path = root / one.row.file
    row = one.row if _keeps(index, one.commit, is_rebuilt) else index.numbered(one.row)
    if one.record.commit is not None and row.commit != one.commit:
        trace_file.renumber(path, one.record, replace(one.record.commit, commit=row.commit))
    # A killed process may have left the bytes in memory, and a row promises the disk.
    trace_file.sync(path)
    index.restore(row)


def _withdraw(index: Index, one: FoundTombstone, is_rebuilt: bool) -> None:
    known = {withdrawal.clip.seq for withdrawal in index.withdrawals(one.trace_id)}
    fresh: list[Withdrawal] = []
    following = index.last_commit + 1
    for withdrawal in one.tombstone.withdrawals:
        if withdrawal.clip.seq in known:
            continue
        if is_rebuilt and index.is_free(withdrawal.commit):
            fresh.append(withdrawal)
        else:
            fresh.append(replace(withdrawal, commit=following))
        following = max(following, fresh[-1].commit + 1)
        known.add(withdrawal.clip.seq)
    if one.tombstone.whole:
        # Old tombstones name no clips: they speak of all that the trace had.
        for row in index.trace_rows(one.trace_id):
            if row.seq not in known:
                fresh.append(Withdrawal(row, following))
                following += 1
    tombstone = one.tombstone
    if fresh or not index.is_refused(one.trace_id, tombstone.first, tombstone.last):
        index.withdraw(one.trace_id, replace(tombstone, withdrawals=tuple(fresh)))


def _keeps(index: Index, commit: int, is_rebuilt: bool) -> bool:
    """Tell whether a clip takes the number that its file notes."""
    if is_rebuilt:
        return index.is_free(commit)
    return commit == index.last_commit + 1
