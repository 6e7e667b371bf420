"""The sinks a recorder may be given: a spool, a store, either in the background."""

from __future__ import annotations

import queue
import threading
from typing import Union

from data_collection.clock import Clock
from data_collection.storage.codec import encode_clip
from data_collection.storage.sink import ClipSink, SinkError
from data_collection.storage.store import EncodedClip, TraceOpening, TraceStore
from data_collection.streaming.spool import Spool
from data_collection.trace import Clip, TraceHeader

_LOOK_AGAIN_S = 0.2


class SpoolSink:
    """Keeps clips in a spool, from which a ``Pusher`` sends them.

    Args:
        spool: the open spool; it stays open.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def open(self, header: TraceHeader) -> None:
        """Keep the trace's header."""
        self._spool.add_trace(header)

    def put(self, header: TraceHeader, clip: Clip) -> None:
        """Keep a clip; it is on this machine's disk when this returns.

        Raises:
            SpoolFull: too little room is left.
        """
        self._spool.add_clip(header.trace_id, clip.seq, encode_clip(clip))

    def close(self) -> None:
        """Do nothing: every clip taken is in the spool."""


class StoreSink:
    """Keeps clips straight in a local store.

    Args:
        store: the open store; it stays open.
        clock: stamps the rows, for reports only.
    """

    def __init__(self, store: TraceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def open(self, header: TraceHeader) -> None:
        """Open the trace in the store.

        Raises:
            SinkError: its id is taken by another trace, or withdrawn.
        """
        opening = self._store.open_trace(header)
        if opening in (TraceOpening.DIFFERENT, TraceOpening.WITHDRAWN):
            raise SinkError("trace_" + opening.value, f"{header.trace_id} cannot be recorded")

    def put(self, header: TraceHeader, clip: Clip) -> None:
        """Store a clip; it is committed when this returns.

        Raises:
            SinkError: the trace is not open, or the clip's place is taken.
        """
        encoded = EncodedClip.of(clip, encode_clip(clip))
        try:
            stored = self._store.append(header, encoded, self._clock.wall_s())
        except KeyError:
            raise SinkError("unknown_trace", f"{header.trace_id} is not open") from None
        if stored.row.body_sha != encoded.body_sha:
            raise SinkError("conflict", f"{header.trace_id}/{clip.seq} is stored otherwise")

    def close(self) -> None:
        """Do nothing: every clip taken is committed."""


class BackgroundSink:
    """Hands clips to another sink from a thread, so that the caller's loop goes on.

    The queue is bounded: when it is full ``put`` waits, and ``stalls`` counts how often.

    Args:
        sink: where the clips go.
        depth: how many clips may wait in memory.
    """

    def __init__(self, sink: ClipSink, depth: int = 8) -> None:
        self.stalls = 0
        self._sink = sink
        self._queue: queue.Queue[Union[tuple[TraceHeader, Clip], None]] = queue.Queue(depth)
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def open(self, header: TraceHeader) -> None:
        """Announce a trace, at once."""
        self._raise_failure()
        self._sink.open(header)

    def put(self, header: TraceHeader, clip: Clip) -> None:
        """Take a clip, waiting while the queue is full.

        Raises:
            SinkError: a clip taken earlier could not be kept, nor is this one.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="clip-sink", daemon=True)
            self._thread.start()
        if self._queue.full():
            self.stalls += 1
        self._enqueue((header, clip))
        self._raise_failure()

    def close(self) -> None:
        """Wait for the clips taken, then close the sink behind.

        Raises:
            SinkError: some of them could not be kept; it says how many.
        """
        if self._thread is not None:
            self._enqueue(None)
            self._thread.join()
            self._thread = None
        self._sink.close()
        self._raise_failure()

    def _enqueue(self, item: Union[tuple[TraceHeader, Clip], None]) -> None:
        while self._failure is None:
            try:
                self._queue.put(item, timeout=_LOOK_AGAIN_S)
                return
            except queue.Full:
                continue

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._sink.put(*item)
            except Exception as error:  # whatever it is, the recorder must stop and show it
                self._failure = error
                return

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        unkept = 1 + sum(item is not None for item in self._queue.queue)
        code = getattr(self._failure, "code", "sink_failed")
        hint = getattr(self._failure, "hint", str(self._failure))
        raise SinkError(code, f"{hint} ({unkept} clips not kept)") from self._failure
