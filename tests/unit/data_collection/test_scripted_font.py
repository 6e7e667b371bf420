"""The bitmap font of the scripted desktop."""

from __future__ import annotations

import string

from data_collection.desktops.scripted.font import text_mask, text_width_px


def test_every_printable_character_has_its_own_shape() -> None:
    shapes = {text_mask(character).tobytes() for character in string.printable[:95]}
    assert len(shapes) == 95


def test_text_is_as_wide_as_it_says() -> None:
    assert text_mask("Folder 12").shape[1] == text_width_px("Folder 12") == 53
    assert text_mask("ab", scale=2).shape[1] == text_width_px("ab", scale=2)


def test_a_letter_reads_as_drawn() -> None:
    rows = ["".join("#" if on else "." for on in row) for row in text_mask("L")[:7]]
    assert rows == ["#....", "#....", "#....", "#....", "#....", "#....", "#####"]
