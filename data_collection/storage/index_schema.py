"""The tables of a store's index and the queries over clips and withdrawals together."""

from __future__ import annotations

from dataclasses import fields

from data_collection.trace import ClipRow, ClipState

SCHEMA = """
CREATE TABLE IF NOT EXISTS traces (
    trace_id TEXT PRIMARY KEY, header TEXT NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS clips (
    "commit" INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, seq INTEGER NOT NULL,
    source TEXT NOT NULL, file TEXT NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, body_sha TEXT NOT NULL, content_sha TEXT NOT NULL,
    first_frame INTEGER NOT NULL, frames INTEGER NOT NULL, weight INTEGER NOT NULL,
    frame_source TEXT NOT NULL, policy TEXT NOT NULL, captured_wall_s REAL NOT NULL,
    acknowledged_wall_s REAL NOT NULL, state TEXT NOT NULL, UNIQUE (trace_id, seq));
CREATE INDEX IF NOT EXISTS clips_content ON clips (content_sha);
CREATE TABLE IF NOT EXISTS withdrawals (
    "commit" INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, seq INTEGER NOT NULL,
    purged INTEGER NOT NULL, UNIQUE (trace_id, seq));
CREATE TABLE IF NOT EXISTS refused (
    trace_id TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (trace_id, first, last));
CREATE TABLE IF NOT EXISTS quarantine (
    trace_id TEXT NOT NULL, seq INTEGER NOT NULL, body_sha TEXT NOT NULL,
    code TEXT NOT NULL, hint TEXT NOT NULL, at_wall_s REAL NOT NULL,
    PRIMARY KEY (trace_id, seq, body_sha));
"""
COLUMNS = tuple(field.name for field in fields(ClipRow))
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
SELECT = f"SELECT {_NAMES} FROM clips "
_WITHDRAWAL_NAMES = ", ".join(
    {"commit": 'w."commit"', "weight": "0", "state": f"'{ClipState.TOMBSTONED.value}'"}.get(
        name, f"c.{name}"
    )
    for name in COLUMNS
)
ROWS_AFTER = (
    f'SELECT {_NAMES} FROM clips WHERE "commit" > ?1 UNION ALL SELECT {_WITHDRAWAL_NAMES}'
    ' FROM withdrawals AS w JOIN clips AS c USING (trace_id, seq) WHERE w."commit" > ?1'
    " ORDER BY 1 LIMIT ?2"
)
WITHDRAWALS = (
    'SELECT w."commit", w.purged, {} FROM withdrawals AS w JOIN clips AS c USING (trace_id, seq) '
).format(", ".join(f'c."{name}"' for name in COLUMNS))
