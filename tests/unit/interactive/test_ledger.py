from __future__ import annotations

from pathlib import Path

import pytest

from interactive.record.data_log import DataLog
from interactive.record.ledger import (
    EntryKind,
    LedgerDamaged,
    LedgerTail,
    LedgerWriter,
    export_ledger,
    read_ledger,
)
from interactive.record.metrics import MetricsRow, MetricsTail, MetricsWriter, read_metrics
from interactive.trainer import StepRecord
from tests.fakes import data_row


def write_marks(path: Path, *marks: int) -> None:
    ledger = LedgerWriter.open(path)
    for mark in marks:
        ledger.append(EntryKind.MARK, step=mark, branch="main", wall_s=1.5, body={"mark": mark})
    ledger.close()


def test_entries_are_numbered_on_over_sessions(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write_marks(path, 1, 2)
    write_marks(path, 3)
    assert [(e.seq, e.body["mark"]) for e in read_ledger(path)] == [(0, 1), (1, 2), (2, 3)]


def test_a_ledger_torn_at_any_length_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write_marks(path, 1, 2)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        left = whole[:length].count(b"\n")
        assert len(read_ledger(path)) == left
        write_marks(path, 9)
        assert [(e.seq, e.body["mark"]) for e in read_ledger(path)][-1] == (left, 9)


def test_a_tail_follows_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    tail = LedgerTail(path)
    assert tail.read_new() == []
    write_marks(path, 1)
    write_marks(path, 2)
    assert [e.seq for e in tail.read_new()] == [0, 1]
    assert tail.read_new() == []


def test_an_exported_ledger_reads_the_same(tmp_path: Path) -> None:
    path, exported = tmp_path / "ledger.jsonl", tmp_path / "exported.jsonl"
    write_marks(path, 1, 2)
    export_ledger(read_ledger(path), exported)
    assert "crc" not in exported.read_text()
    assert read_ledger(exported) == read_ledger(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"seq": 1', '"seq": 5'), "line 2 has seq 5, not 1"),
        (lambda text: text.replace('"kind": "mark"', '"kind": "wish"', 1), "line 1 is no entry"),
        (lambda text: text + "{", "line 3 is not JSON"),
        (lambda text: text + "3\n", "line 3 is not a JSON object"),
    ],
)
def test_a_changed_ledger_that_makes_no_sense_is_named(
    tmp_path: Path, change: object, message: str
) -> None:
    path, exported = tmp_path / "ledger.jsonl", tmp_path / "exported.jsonl"
    write_marks(path, 1, 2)
    export_ledger(read_ledger(path), exported)
    assert callable(change)
    exported.write_text(change(exported.read_text()))
    with pytest.raises(LedgerDamaged, match=message):
        read_ledger(exported)


def test_metrics_keep_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    losses = [0.1, float("nan"), float("inf"), -0.0, 5e-324]
    writer, tail = MetricsWriter.open(path), MetricsTail(path)
    for step, loss in enumerate(losses, start=1):
        record = StepRecord(step, loss, -loss, 1e-4, commits=(3, 4), extra={"psnr": loss})
        writer.append(MetricsRow.of(record, branch="main", mark=4, entries=1, wall_s=0.0))
    assert writer.rows == 5
    writer.close()
    read = list(read_metrics(path))
    assert repr([row.loss for row in read]) == repr(losses)
    assert read[0].loss_bits == "3fb999999999999a"
    assert read[3].loss_bits != read[3].grad_norm_bits
    assert (read[0].commits, read[0].mark, read[0].digest) == ((3, 4), 4, None)
    assert repr(tail.read_new()) == repr(read)
    assert [row.step for row in read_metrics(path, after=3)] == [4, 5]


def test_data_rows_are_kept_once_and_found_by_commit(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    log = DataLog.open(path, writable=True)
    assert (log.head, log.rows(0, 0)) == (0, [])
    log.append([data_row(1), data_row(2)])
    log.append([data_row(2, "other"), data_row(3)])
    for again in (log, DataLog.open(path), DataLog.open(path, writable=True)):
        assert again.head == 3
        assert [row.commit for row in again.rows(1, 3)] == [2, 3]
        assert {row.body["source"] for row in again.rows(0, 3)} == {"live"}
    with pytest.raises(LookupError, match="does not hold commit 4"):
        log.rows(0, 4)


def test_a_data_row_torn_at_any_length_is_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    DataLog.open(path, writable=True).append([data_row(1), data_row(2)])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        log = DataLog.open(path, writable=True)
        assert log.head == whole[:length].count(b"\n")
        log.append([data_row(1), data_row(2)])
        log.close()
        assert path.read_bytes() == whole
