"""The sinks a recorder may be given: a spool, a store, either in the background."""

from __future__ import annotations

import threading
from collections import deque

from data_collection.clock import Clock
from data_collection.storage.codec import encode_clip
from data_collection.storage.sink import ClipSink, Cut, SinkError
from data_collection.storage.store import EncodedClip, TraceOpening, TraceStore
from data_collection.streaming.spool import Spool
from data_collection.trace import Clip, TraceHeader


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

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        """Delete clips here, and have those destroyed that were handed to the pusher.

        Raises:
            OSError: the spool could not keep the withdrawal.
        """
        return self._spool.withdraw(header.trace_id, first_seq, last_seq)

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

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        """Withdraw clips and destroy their bytes, here and now.

        Raises:
            OSError: the disk refused.
        """
        self._store.withdraw(header.trace_id, first_seq, last_seq)
        self._store.purge(header.trace_id)
        return Cut(unsent=last_seq - first_seq + 1)

    def close(self) -> None:
        """Do nothing: every clip taken is committed."""


class BackgroundSink:
    """Hands clips to another sink from a thread, so that the caller's loop goes on.

    What waits here is in memory only, so the queue is tiny: when it is full ``put`` waits,
    and ``stalls`` counts how often. After a failure the next ``open`` begins anew.

    Args:
        sink: where the clips go.
        depth: how many clips may wait in memory, besides the one that is being written.
    """

    def __init__(self, sink: ClipSink, depth: int = 1) -> None:
        self.stalls = 0
        self._sink = sink
        self._depth = depth
        self._queue: deque[tuple[TraceHeader, Clip]] = deque()
        self._changed = threading.Condition()
        self._writing = False
        self._ending = False
        self._failure: Exception | None = None
        self._unkept = 0
        self._thread: threading.Thread | None = None

    @property
    def in_memory(self) -> int:
        """How many clips would be lost if the process were killed now."""
        with self._changed:
            return len(self._queue) + self._writing

    def open(self, header: TraceHeader) -> None:
        """Announce a trace, at once.

        Raises:
            SinkError: the trace could not be opened.
        """
        with self._changed:
            self._failure, self._unkept = None, 0
        try:
            self._sink.open(header)
        except OSError as error:
            raise _as_sink_error(error, 1) from error

    def put(self, header: TraceHeader, clip: Clip) -> None:
        """Take a clip, waiting while the queue is full.

        Raises:
            SinkError: a clip taken earlier could not be kept, nor is this one.
        """
        if self._thread is None:
            self._ending = False
            self._thread = threading.Thread(target=self._work, name="clip-sink", daemon=True)
            self._thread.start()
        with self._changed:
            if len(self._queue) >= self._depth:
                self.stalls += 1
            self._changed.wait_for(lambda: len(self._queue) < self._depth or self._failure)
            if self._failure is None:
                self._queue.append((header, clip))
                self._changed.notify_all()
            else:
                self._unkept += 1
        self._raise_failure()

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        """Withdraw clips from the sink behind, once it has those that wait here.

        A sink that has failed is asked all the same: what it kept must go.

        Raises:
            SinkError: the sink could not make it durable.
        """
        with self._changed:
            self._changed.wait_for(self._idle)
        return self._sink.withdraw(header, first_seq, last_seq)

    def close(self) -> None:
        """Wait for the clips taken, then close the sink behind.

        Raises:
            SinkError: some of them could not be kept; it says how many.
        """
        with self._changed:
            self._changed.wait_for(self._idle)
            self._ending = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._sink.close()
        self._raise_failure()

    def _idle(self) -> bool:
        return not self._writing and not self._queue

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ending)
                if not self._queue:
                    return
                item = self._queue.popleft()
                self._writing = True
                self._changed.notify_all()
            failure: Exception | None = None
            try:
                self._sink.put(*item)
            except Exception as error:  # whatever it is, the recorder must stop and show it
                failure = error
            with self._changed:
                self._writing = False
                if failure is not None:
                    self._failure = failure
                    # What follows a lost clip is lost with it: a trace has no holes.
                    self._unkept += 1 + len(self._queue)
                    self._queue.clear()
                self._changed.notify_all()

    def _raise_failure(self) -> None:
        with self._changed:
            failure, unkept = self._failure, self._unkept
        if failure is None:
            return
        raise _as_sink_error(failure, unkept) from failure


def _as_sink_error(failure: Exception, unkept: int) -> SinkError:
    code = getattr(failure, "code", "sink_failed")
    hint = getattr(failure, "hint", str(failure))
    return SinkError(code, f"{hint} ({unkept} clips not kept)", unkept)
