from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interactive.record.journal import (
    JournalCorrupt,
    JournalTail,
    JournalWriter,
    read,
    seal,
    unseal,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text().filter(lambda key: key != "crc"), JSON, min_size=1, max_size=4)


def write(path: Path, *objects: dict[str, Any]) -> None:
    with JournalWriter.open(path) as journal:
        for obj in objects:
            journal.append(obj)


@settings(deadline=None, derandomize=True)
@given(OBJECTS)
def test_a_line_gives_back_its_object(obj: dict[str, Any]) -> None:
    line = seal(obj)
    assert line.count(b"\n") == 1
    assert unseal(line) == obj


@settings(deadline=None, derandomize=True)
@given(OBJECTS, st.integers(min_value=0), st.integers(1, 255))
def test_a_line_with_one_changed_byte_is_not_whole(
    obj: dict[str, Any], place: int, change: int
) -> None:
    line = bytearray(seal(obj))
    line[place % len(line)] ^= change
    assert unseal(bytes(line)) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(number: float) -> None:
    with pytest.raises(ValueError):
        seal({"loss": number})


def test_the_checksum_is_the_last_key(tmp_path: Path) -> None:
    write(tmp_path / "j", {"a": 1})
    crc = zlib.crc32(b'{"a":1}')
    assert (tmp_path / "j").read_text() == f'{{"a":1,"crc":"{crc:08x}"}}\n'


def test_a_tail_torn_at_any_length_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, {"n": 0}, {"n": 1}, {"n": 2, "text": "last"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        lines = whole[:length].count(b"\n")
        assert [obj["n"] for obj in read(path)] == list(range(lines))
        write(path, {"n": "new"})
        assert [obj["n"] for obj in read(path)] == [*range(lines), "new"]


def test_a_damaged_last_line_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, {"n": 0}, {"n": 1})
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":9'))
    assert read(path) == [{"n": 0}]
    write(path, {"n": 2})
    assert read(path) == [{"n": 0}, {"n": 2}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, {"n": 0}, {"n": 1}, {"n": 2})
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":9'))
    for act in (lambda: read(path), lambda: JournalWriter.open(path), JournalTail(path).read_new):
        with pytest.raises(JournalCorrupt, match="line 2 is damaged") as caught:
            act()
        assert caught.value.line == 2


def test_a_write_that_the_disk_cuts_short_leaves_no_part_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    real = os.write
    budget = [10]

    def short(handle: int, data: bytes) -> int:
        if not budget[0]:
            raise OSError(28, "No space left on device")
        done = real(handle, data[: budget[0]])
        budget[0] -= done
        return done

    with JournalWriter.open(path) as journal:
        journal.append({"n": 0})
        monkeypatch.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space"):
            journal.append({"n": 1})
        monkeypatch.setattr(os, "write", real)
        journal.append({"n": 2})
        assert journal.lines == 2
    assert read(path) == [{"n": 0}, {"n": 2}]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_a_tail_sees_each_line_once_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "j"
    tail = JournalTail(path)
    assert tail.read_new() == []
    text = b"".join(seal({"n": n, "text": "x\u2028\r" * n}) for n in range(5))
    seen = []
    for cut in [*sorted(cuts), len(text)]:
        path.write_bytes(text[:cut])
        seen += [obj["n"] for obj in tail.read_new()]
        assert seen == list(range(text[:cut].count(b"\n")))
