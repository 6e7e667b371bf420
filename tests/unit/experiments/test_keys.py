from pathlib import Path

import pytest

from experiments.console import Failure
from experiments.keys import read_key


def test_a_key_is_read_from_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", " sk-1 ")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    file = tmp_path / "key"
    file.write_text("sk-2\n")
    file.chmod(0o600)
    assert read_key("SOME_KEY", None) == "sk-1"
    assert read_key(None, file) == "sk-2"
    assert read_key(None, None) is None, "no key goes anywhere without being named"


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-2\n")
    file.chmod(0o640)
    with pytest.raises(Failure, match="others may read"):
        read_key(None, file)


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    empty = tmp_path / "empty"
    empty.touch(0o600)
    for variable, path in (("SOME_KEY", None), (None, tmp_path / "none"), (None, empty)):
        with pytest.raises(Failure, match=r"key|empty"):
            read_key(variable, path)
    with pytest.raises(Failure, match="not both"):
        read_key("SOME_KEY", empty)
