"""`neuralos traces` while a run's server holds the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from traces_desk import (
    FIRST,
    SECOND,
    Neuralos,
    drawn,
    end_when_idle,
    make_run,
    make_store,
    put,
    served,
)

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.storage.codec import encode_clip
from data_collection.storage.reading import read_clip
from data_collection.storage.store import TraceStore
from data_collection.streaming.push import Backoff
from data_collection.streaming.send_traces import SenderNotAllowed, ServerAway, TraceSender
from data_collection.trace import ClipState
from experiments.trace_access import ServedView, find_store, open_view
from interactive.policy import Role
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import read_token


@dataclass
class Served:
    """A run with two traces, and its server."""

    run: RunFolder
    url: str

    def client(self, role: Role = Role.COLLECTOR) -> httpx.Client:
        token = read_token(self.run.tokens, role)
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"})


class SleepingClock(SystemClock):
    """Time passes only while somebody sleeps."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, duration_s: float) -> None:
        self.now_ns += round(duration_s * 1e9)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Served]:
    run = make_run(tmp_path / "run")
    make_store(run.traces)
    with served(run) as url:
        yield Served(run, url)


@pytest.fixture
def neuralos(capsys: pytest.CaptureFixture[str]) -> Neuralos:
    return Neuralos(capsys)


def test_a_served_run_is_looked_at_checked_and_withdrawn_from(
    live: Served, neuralos: Neuralos, tmp_path: Path
) -> None:
    status, said = neuralos("traces", "list", live.run.path)
    assert status == 0
    assert [trace["id"] for trace in said["traces"]] == [FIRST, SECOND]
    status, shown = neuralos("traces", "show", live.run.path, FIRST)
    assert (status, shown["traces"][0]["fps"]) == (0, 15.0)
    png = tmp_path / "frame.png"
    assert neuralos("traces", "show", live.run.traces, FIRST, "--frame", 3, "--to", png)[0] == 0
    status, said = neuralos("traces", "verify", live.run.path)
    assert (status, [trace["clips"] for trace in said["traces"]]) == (0, [2, 2])
    status, said = neuralos("traces", "delete", live.run.path, FIRST, "--clips", "1", "--yes")
    assert (status, said["traces"][0]["clips"]) == (0, [1])
    status, said = neuralos("traces", "delete", live.run.path, SECOND, "--yes")
    assert (status, said["traces"][0]["clips"]) == (0, [0, 1])
    listed = neuralos("traces", "list", live.run.path)[1]["traces"]
    assert [(t["clips"], t["withdrawn_clips"], t["withdrawn"]) for t in listed] == [
        (1, 1, False),
        (0, 2, True),
    ]
    assert neuralos("traces", "verify", live.run.path)[0] == 0


def test_damage_is_found_while_the_server_runs(live: Served, neuralos: Neuralos) -> None:
    path = live.run.traces / f"{FIRST}.mcap"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    status, said = neuralos("traces", "verify", live.run.path)
    assert status == 1
    assert {problem["trace"] for problem in said["problems"]} == {FIRST}


def test_push_sends_what_is_not_there_and_names_what_was_refused(
    live: Served, neuralos: Neuralos, tmp_path: Path
) -> None:
    other = TraceStore.open(tmp_path / "other")
    header, clips = drawn("other-0", 7, clips=3)
    put(other, header, clips)
    put(other, *drawn(FIRST, 4))
    other.close()
    where = ("--server", live.url, "--token-file", live.run.tokens)
    status, said = neuralos("traces", "push", tmp_path / "other", "other-0", *where)
    assert (status, said["traces"]) == (
        0, [{"id": "other-0", "sent": 3, "present": 0, "refused": 0}],
    )  # fmt: skip
    status, said = neuralos("traces", "push", tmp_path / "other", *where)
    assert status == 1
    assert [(p["trace"], p["clip"], p["code"]) for p in said["problems"]] == [
        (FIRST, None, "conflict")
    ]
    listed = {t["id"]: t for t in neuralos("traces", "list", live.run.path)[1]["traces"]}
    assert listed["other-0"]["clips"] == 3


def test_a_clip_in_quarantine_is_reported(live: Served) -> None:
    header, clips = drawn("odd", 7)
    with live.client() as client:
        sender = TraceSender(client, SystemClock())
        assert sender.open(header) is None
        assert sender.put("odd", 0, encode_clip(clips[0])) is None
        refusal = sender.put("odd", 1, encode_clip(clips[0]))
    assert refusal is not None
    assert (refusal.trace, refusal.clip, refusal.code) == ("odd", 1, "place")


def test_a_token_that_may_not_send_is_named(live: Served) -> None:
    with live.client(Role.VIEWER) as client, pytest.raises(SenderNotAllowed):
        TraceSender(client, SystemClock()).open(drawn("odd", 7, clips=1)[0])


def test_a_server_that_is_away_is_waited_for_and_then_given_up() -> None:
    class Away(httpx.BaseTransport):
        asked = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.asked += 1
            raise httpx.ConnectError("nobody listens", request=request)

    transport = Away()
    client = httpx.Client(base_url="http://server", transport=transport)
    clock = SleepingClock()
    sender = TraceSender(client, clock, Backoff(first_s=1, longest_s=4), patience_s=12)
    with pytest.raises(ServerAway, match="nobody listens"):
        sender.open(drawn("odd", 7, clips=1)[0])
    # At 0, 1, 3, 7, 11 and 15 seconds.
    assert (transport.asked, clock.now_ns) == (6, 15 * 10**9)


def test_a_session_at_the_simulator_becomes_live_data_with_real_frames(
    live: Served, neuralos: Neuralos, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, clips = drawn("session", 9)
    noise = np.random.default_rng(1).integers(0, 256, clips[0].frames.shape, np.uint8)
    simulated = replace(
        header,
        desktop="simulator",
        frame_source="simulator",
        source="live",
        checkpoint="main-000100",
    )
    shown = [replace(clip, frames=noise) for clip in clips]
    with live.client() as client:
        sender = TraceSender(client, SystemClock())
        assert sender.open(simulated) is None
        for clip in shown:
            assert sender.put("session", clip.seq, encode_clip(clip)) is None
    end_when_idle(monkeypatch)
    status, values = neuralos("traces", "relabel", live.run.path, "--follow", "--settle", "0")
    assert status == 0
    (made,) = values["traces"]
    assert (made["origin"], made["made"]) == ("session", True)
    with open_view(find_store(live.run.path)) as view:
        assert isinstance(view, ServedView)
        rows = view.rows("session-on-scripted")
        relabelled = view.header("session-on-scripted")
        origin_rows = view.rows("session")
    assert relabelled is not None
    assert (relabelled.origin, relabelled.frame_source) == ("session", "real")
    assert (relabelled.source, relabelled.policy) == ("live", "task")
    assert [row.weight for row in origin_rows] == [0, 0]
    assert all(row.weight > 0 and row.state is ClipState.COMMITTED for row in rows)
    desktop = ScriptedDesktop()
    desktop.reset(header.seed)
    for row in rows:
        again = read_clip(live.run.traces, row)
        for group, frame in zip(again.events, again.frames, strict=True):
            assert np.array_equal(frame, desktop.step(group))
