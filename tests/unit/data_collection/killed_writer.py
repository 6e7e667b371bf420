"""A writer of a store that is killed with SIGKILL again and again; run as a process.

Usage: killed_writer.py ROOT SEED KILLS. Each round goes on where the last one was killed, at
a moment drawn from the seed: while an operation on the disk is half done, just after one, or
after some time. What was acknowledged stands in ROOT/acknowledged, a line each.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from trace_samples import sample_header, stored

from data_collection.storage.store import TraceStore
from tests.faults import FailingDisk, failing_disk

TRACES = ("t-1", "t-2")
CLIPS_A_ROUND = 12
LOOKS_OF_T2 = 1000


class KillingDisk(FailingDisk):
    """A disk that takes the process with it when its moment has come."""

    def error(self) -> OSError:
        """Kill this process, after the operation was done in part or whole."""
        os.kill(os.getpid(), signal.SIGKILL)
        return super().error()


def write(root: Path) -> None:
    """Append clips to both traces in turn, noting each one that was acknowledged."""
    log = os.open(root / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store = TraceStore.open(root / "store")
    for trace_id in TRACES:
        store.open_trace(sample_header(trace_id))
    first = len(store.index.present("t-2"))
    for seq in range(first, first + CLIPS_A_ROUND):
        for trace_id in TRACES:
            look = seq + (LOOKS_OF_T2 if trace_id == "t-2" else 0)
            stored(store, seq, trace_id, look=look)
            os.write(log, f"{trace_id} {seq}\n".encode())
    store.close()


def main(root: Path, seed: int, kills: int) -> None:
    """Let ``kills`` writers die, one after the other."""
    rng = random.Random(seed)
    root.mkdir()
    for round_number in range(kills):
        at, late, delay_s = rng.randrange(60), rng.random() < 0.5, rng.uniform(0, 0.05)
        by_operation = round_number % 2 == 0
        pid = os.fork()
        if pid == 0:
            with failing_disk(root / "store", at=at if by_operation else None, late=late) as disk:
                disk.__class__ = KillingDisk
                write(root)
            os._exit(0)
        if not by_operation:
            time.sleep(delay_s)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        print("killed" if os.WIFSIGNALED(status) else f"ended {status}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
