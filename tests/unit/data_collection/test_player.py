"""The player: which frame it shows, what it says was done in it, and where its keys go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygame
import pytest
from trace_samples import FPS, PERIOD_NS, StillClock, sample_clip, sample_header

from data_collection.events import Event, Marker, TextTyped, WheelTurned
from data_collection.recording.sinks import StoreSink
from data_collection.storage.store import TraceStore
from data_collection.trace import Clip
from data_collection.window.playback import (
    PlayedTrace,
    Playhead,
    TraceReader,
    moment_in_words,
)
from data_collection.window.player import Player, PlayerView, play, save_shot

CLIPS = 4


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    opened = TraceStore.open(tmp_path / "store")
    yield opened
    opened.close()


def with_events(clip: Clip, frame: int, *events: Event) -> Clip:
    groups = list(clip.events)
    groups[frame] = (*groups[frame], *events)
    return replace(clip, events=tuple(groups))


def record(store: TraceStore, trace_id: str = "t-1", **header: object) -> PlayedTrace:
    """Store four clips; the last frame of clip 2 has a wheel, a text and a marker."""
    head = sample_header(trace_id, **header)
    sink = StoreSink(store, StillClock())
    sink.open(head)
    for seq in range(CLIPS):
        clip = sample_clip(seq, trace_id)
        if seq == 2:
            clip = with_events(clip, 4, WheelTurned(0, -2), TextTyped("hé"), Marker("goal", "won"))
        sink.put(head, clip)
    return PlayedTrace(store.root, head, store.index.trace_rows(trace_id))


def test_every_frame_is_the_one_recorded_in_any_order(store: TraceStore) -> None:
    reader = TraceReader(record(store))
    assert reader.frames == CLIPS * FPS
    for position in (13, 0, 19, 5, 4, 14):
        clip = sample_clip(position // FPS)
        moment = reader.moment(position)
        np.testing.assert_array_equal(moment.frame, clip.frames[position % FPS])
        assert (moment.index, moment.since_start_ns) == (position, position * PERIOD_NS)
        assert reader.position_at(moment.since_start_ns) == position
        assert reader.position_at(moment.since_start_ns + PERIOD_NS - 1) == position
    assert reader.moment(99).index == 19
    assert reader.position_at(10**12) == 19
    assert reader.position_at(-1) == 0


def test_it_reads_a_few_clips_and_not_the_trace(store: TraceStore) -> None:
    reader = TraceReader(record(store))
    for position in range(reader.frames):
        reader.moment(position)
        assert len(reader._clips) <= 4
    assert reader.ticks == []


def test_events_are_read_ahead_and_tell_what_is_held(store: TraceStore) -> None:
    reader = TraceReader(record(store))
    assert reader.moment(7).action.keys_held == frozenset()
    assert reader.read_ahead(2)
    assert reader.moment(7).action.keys_held == {4}, "held since the clip before"
    assert not reader.read_ahead(99)
    kinds = [(tick.position, tick.kind) for tick in reader.ticks]
    assert kinds[:2] == [(0, "click"), (4, "key")]
    assert {(14, "wheel"), (14, "text"), (14, "marker")} <= set(kinds)
    done, noted = moment_in_words(reader.moment(14), reader.key_names)
    assert done == "pointer 4,5  left held  wheel -2  keys a"
    assert noted == "text 'hé'  [goal: won]"


def test_withdrawn_clips_are_passed_over_and_purged_ones_named(store: TraceStore) -> None:
    record(store)
    before = store.index.trace_rows("t-1")
    store.withdraw("t-1", 1, 1)
    rows = store.index.trace_rows("t-1")
    reader = TraceReader(PlayedTrace(store.root, sample_header(), rows))
    assert [reader.moment(position).index for position in (4, 5)] == [4, 10]
    assert reader.position_at(7 * PERIOD_NS) in (4, 5)
    store.purge("t-1")
    stale = TraceReader(PlayedTrace(store.root, sample_header(), before))
    assert "clip 1 cannot be read: purged" in stale.moment(6).problem
    assert stale.moment(11).problem == ""
    assert not stale.read_ahead(99)
    store.withdraw("t-1")
    gone = PlayedTrace(store.root, sample_header(), store.index.trace_rows("t-1"))
    with pytest.raises(ValueError, match="no clips to play"):
        TraceReader(gone)


def test_the_playhead_steps_jumps_and_ends() -> None:
    head = Playhead(frames=30, fps=15)
    head.advance(1.0)
    assert head.position == 0
    head.toggle()
    head.advance(0.4)
    assert head.position == 6
    head.jump(1)
    assert (head.position, head.playing) == (21, True)
    head.step(-1)
    assert (head.position, head.playing) == (20, False)
    head.change_speed(1)
    head.toggle()
    head.advance(0.2)
    assert (head.speed, head.position) == (2.0, 26)
    head.advance(9.0)
    assert (head.position, head.playing) == (29, False)
    head.toggle()
    assert (head.position, head.playing) == (0, True)
    for _ in range(9):
        head.change_speed(-1)
    assert head.speed == 0.25


@pytest.fixture
def player(store: TraceStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Player]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.init()
    reader = TraceReader(record(store))
    player = Player(PlayerView([reader]), Playhead(reader.frames, FPS))
    player.view.draw(pygame.Surface(player.view.size(2)), player.head)
    yield player
    pygame.quit()


def test_keys_move_along_the_trace(player: Player) -> None:
    def press(key: int, mod: int = 0) -> int:
        player.handle(pygame.Event(pygame.KEYDOWN, key=key, mod=mod))
        return player.head.position

    assert [press(pygame.K_RIGHT), press(pygame.K_RIGHT), press(pygame.K_LEFT)] == [1, 2, 1]
    assert press(pygame.K_RIGHT, pygame.KMOD_LSHIFT) == 1 + FPS
    assert press(pygame.K_END) == CLIPS * FPS - 1
    assert press(pygame.K_HOME) == 0
    press(pygame.K_SPACE)
    press(pygame.K_RIGHTBRACKET)
    assert (player.head.playing, player.head.speed) == (True, 2.0)
    press(pygame.K_ESCAPE)
    assert player.closed


def test_the_bar_is_dragged(player: Player) -> None:
    bar = player.view.bar
    places = [(bar.left, bar.centery), (bar.right - 1, bar.centery), (bar.centerx, 3)]
    kinds = [pygame.MOUSEBUTTONDOWN, pygame.MOUSEMOTION, pygame.MOUSEMOTION]
    found = []
    for kind, pos in zip(kinds, places, strict=True):
        player.handle(pygame.Event(kind, pos=pos, button=1))
        found.append(player.head.position)
    assert found == [0, CLIPS * FPS - 1, (CLIPS * FPS - 1 + 1) // 2]
    player.handle(pygame.Event(pygame.MOUSEBUTTONUP, pos=(0, 0), button=1))
    player.handle(pygame.Event(pygame.MOUSEMOTION, pos=places[0], button=1))
    assert player.head.position == found[-1]


def test_a_picture_of_two_traces_holds_both_frames_pixel_for_pixel(
    store: TraceStore, tmp_path: Path
) -> None:
    real = record(store)
    other = record(store, "t-2", frame_source="simulator", origin="t-1", anchor_wall_s=5000.0)
    path = tmp_path / "shot.png"
    width_px, _ = save_shot([real, other], 7, path, scale=10)
    shot = pygame.surfarray.array3d(pygame.image.load(str(path))).transpose(1, 0, 2)
    left = (width_px - (2 * 240 + 8)) // 2
    for number in range(2):
        at = left + number * 248
        expected = sample_clip(1).frames[2].repeat(10, 0).repeat(10, 1)
        np.testing.assert_array_equal(shot[:160, at : at + 240], expected)


def test_it_plays_until_it_is_closed(store: TraceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown: list[int] = []
    draw = PlayerView.draw

    def note(self: PlayerView, surface: pygame.Surface, head: Playhead) -> None:
        draw(self, surface, head)
        shown.append(head.position)
        if len(shown) == 5:
            pygame.event.post(pygame.Event(pygame.QUIT))

    monkeypatch.setattr(PlayerView, "draw", note)
    play([record(store)])
    assert len(shown) >= 5
    with pytest.raises(ValueError, match="3 traces"):
        play([record(store)] * 3)
