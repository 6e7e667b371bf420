from __future__ import annotations

from pathlib import Path

import pytest

from interactive.record.checkpoints import CheckpointDamaged, CheckpointLibrary, Manifest


def a_manifest(step: int, *, kept: bool = False) -> Manifest:
    return Manifest(
        id=f"main-{step:06d}",
        branch="main",
        step=step,
        mark=step,
        ledger_entries=step,
        metrics_rows=step,
        digest="d",
        kept=kept,
        parent=None,
    )


def save(folder: Path) -> None:
    (folder / "weights").write_bytes(b"1234")
    (folder / "lanes").mkdir()
    (folder / "lanes" / "0").write_bytes(b"5")


@pytest.fixture
def library(tmp_path: Path) -> CheckpointLibrary:
    library = CheckpointLibrary(tmp_path / "checkpoints")
    for step in (1, 2, 3):
        library.publish(a_manifest(step), save)
    return library


def test_what_is_published_can_be_verified(library: CheckpointLibrary) -> None:
    manifest = library.verify("main-000002")
    assert set(manifest.files) == {"weights", "lanes/0"}
    assert manifest.step == 2
    assert library.newest_whole()[0] == library.verify("main-000003")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("weights", b"1235", "weights has other bytes"),
        ("lanes/0", b"", "lanes/0 has other bytes"),
        ("weights", None, "weights is missing"),
        ("manifest.json", None, "no manifest"),
        ("manifest.json", b"{", "no manifest"),
        ("manifest.json", b"[]", "no manifest"),
    ],
)
def test_damage_is_named_and_an_older_one_is_found(
    library: CheckpointLibrary, file: str, content: bytes | None, message: str
) -> None:
    path = library.path("main-000003") / file
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(CheckpointDamaged, match=message):
        library.verify("main-000003")
    newest, warnings = library.newest_whole()
    assert newest is not None
    assert newest.id == "main-000002"
    assert len(warnings) == (0 if file == "manifest.json" else 1)


def test_a_save_that_fails_publishes_nothing(library: CheckpointLibrary) -> None:
    def fail(folder: Path) -> None:
        save(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        library.publish(a_manifest(4), fail)
    assert sorted(path.name for path in library.folder.iterdir()) == [
        "main-000001",
        "main-000002",
        "main-000003",
    ]


def test_what_a_dead_save_left_is_swept(library: CheckpointLibrary) -> None:
    (library.folder / ".partial-main-000004").mkdir()
    assert len(library.manifests()) == 3
    library.sweep()
    assert not (library.folder / ".partial-main-000004").exists()


def test_pruning_keeps_the_newest_the_wanted_and_the_needed(library: CheckpointLibrary) -> None:
    library.publish(a_manifest(4, kept=True), save)
    library.publish(a_manifest(5), save)
    assert library.prune(2, protected={"main-000001"}) == ["main-000002"]
    left = [manifest.id for manifest in library.manifests()]
    assert left == ["main-000001", "main-000003", "main-000004", "main-000005"]
