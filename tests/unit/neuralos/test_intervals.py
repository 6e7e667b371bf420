"""Structural similarity against its definition, and intervals over episodes."""

from __future__ import annotations

import numpy as np
import pytest

from neuralos.evaluation.frame_quality import contrast, psnr_db, squared_error, ssim_map
from neuralos.evaluation.intervals import Sheet


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_a_frame_is_wholly_similar_to_itself() -> None:
    assert ssim_map(frame(0), frame(0)) == pytest.approx(1)
    assert abs(ssim_map(frame(0), frame(1)).mean()) < 0.1


def test_similarity_of_flat_frames_compares_their_light_alone() -> None:
    dark, light = np.full((24, 32, 3), 40, np.uint8), np.full((24, 32, 3), 200, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 40 * 200 + c1) / (40**2 + 200**2 + c1)
    assert ssim_map(dark, light) == pytest.approx(expected)


def test_similarity_at_a_pixel_is_that_of_the_definition() -> None:
    one, other = frame(2), frame(3)
    x, y = (f @ np.array([0.299, 0.587, 0.114]) for f in (one, other))
    row, column = 11, 17
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    a, b = (p[row - 5 : row + 6, column - 5 : column + 6] for p in (x, y))
    mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
    spread_a, spread_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
    shared = (weights * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
    expected /= (mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2)
    assert ssim_map(one, other)[row, column] == pytest.approx(expected)


def test_psnr_is_in_decibels_of_the_largest_level() -> None:
    assert psnr_db(255.0**2) == pytest.approx(0)
    assert psnr_db(650.25) == pytest.approx(20)
    one = frame(4)
    assert squared_error(one, one).max() == 0
    assert contrast(np.full((4, 4, 3), 7, np.uint8)).max() == 0


def test_an_estimate_is_a_ratio_of_sums_with_an_interval_over_episodes() -> None:
    sheet = Sheet()
    for episode, values in {"a": [0, 0, 0, 1], "b": [1, 1], "c": [1, np.nan, 0]}.items():
        sheet.add("hits", episode, values)
    estimate = sheet.estimate("hits", 0)
    assert estimate is not None
    assert (estimate.value, estimate.n) == (pytest.approx(4 / 8), 8)
    assert 0.25 <= estimate.low < 0.5 < estimate.high <= 1
    assert sheet.estimate("hits", 0) == estimate
    assert sheet.estimate("misses", 0) is None
    assert sheet.per_episode("hits") == {"a": 0.25, "b": 1.0, "c": 0.5}


def test_squared_errors_are_pooled_before_they_become_decibels() -> None:
    sheet = Sheet()
    sheet.add("psnr", "a", [0.0, 0.0])
    sheet.add("psnr", "b", [1300.5, 1300.5])
    estimate = sheet.estimate("psnr", 0)
    assert estimate is not None
    assert estimate.value == pytest.approx(20)


def test_an_interval_is_narrower_with_more_episodes() -> None:
    widths = []
    for count in (10, 160):
        sheet = Sheet()
        for number in range(count):
            sheet.add("hits", str(number), number % 2)
        estimate = sheet.estimate("hits", 0)
        assert estimate is not None
        widths.append(estimate.high - estimate.low)
    assert widths[1] < widths[0] / 2


def test_nothing_but_hidden_values_is_no_estimate() -> None:
    sheet = Sheet()
    sheet.add("cursor", "a", [np.nan])
    assert sheet.estimate("cursor", 0) is None


@pytest.mark.parametrize(("hit", "interval"), [(0, (0.0, 0.1425)), (1, (0.8575, 1.0))])
def test_none_of_24_does_not_mean_never(hit: int, interval: tuple[float, float]) -> None:
    sheet = Sheet()
    for number in range(24):
        sheet.add("task_home", str(number), hit)
    estimate = sheet.estimate("task_home", 0)
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx(interval, abs=1e-4)
