"""A window that records as fast as it can until it is killed; run as a process.

Usage: killed_recorder.py spool|store FOLDER. After each frame it prints how many frames it
has recorded, and how many closed clips were on their way to the disk just before.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from window_fakes import FakeClock

from data_collection.clock import SystemClock
from data_collection.desktops.pair import Desktops
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.recorder import Recorder, RecorderConfig
from data_collection.recording.sinks import BackgroundSink, SpoolSink, StoreSink
from data_collection.storage.sink import ClipSink
from data_collection.storage.store import TraceStore
from data_collection.streaming.spool import Spool
from data_collection.trace import Consent
from data_collection.users import make_user
from data_collection.window.window import Window, WindowConfig


def main(kind: str, folder: Path) -> None:
    """Record a scripted user until the end."""
    sink: ClipSink
    if kind == "spool":
        sink = SpoolSink(Spool.open(folder, hold_s=3600.0))
    else:
        sink = StoreSink(TraceStore.open(folder), SystemClock())
    background = BackgroundSink(sink)
    window = Window(WindowConfig(scale=1))
    window.open()
    recorder = Recorder(
        window,
        Desktops(ScriptedDesktop()),
        background,
        FakeClock(),
        Random(1),
        RecorderConfig(seed=3, consent=Consent.SYNTHETIC, hold_s=3600.0),
        user=make_user("explorer"),
    )
    ticks = -1

    def until() -> bool:
        nonlocal ticks
        ticks += 1
        print(ticks, background.in_memory, flush=True)
        return False

    recorder.run(until)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
