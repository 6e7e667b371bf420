"""The process that decodes strangers' clips: bounded in memory, made to be killed.

``python -m data_collection.streaming.decode_worker MEMORY_BYTES CPU_S TIME_S``. It says
``READY`` once it is up, then answers each request on its standard input with one answer
on its standard output, and ends when its input does. Both are length-prefixed, with
JSON in front: see ``write_request`` and ``read_answer``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
from math import ceil
from typing import IO, Any, Union

from data_collection.streaming.clip_checks import Fault
from data_collection.streaming.examine import Examined, examine
from data_collection.trace import TraceHeader

READY = b"ready\n"
CPU_SIGNAL = getattr(signal, "SIGPROF", 0)
"""What ends a worker that computes for too long, busy as the machine may be."""
MAX_ANSWER_BYTES = 2**20
_ALARM_AFTER_S = 5
_REQUEST = struct.Struct("<II")
_ANSWER = struct.Struct("<I")


def write_request(pipe: IO[bytes], header: TraceHeader, seq: int, body: bytes) -> None:
    """Ask the worker behind a pipe to examine a clip."""
    question = json.dumps({"header": header.to_json(), "seq": seq}).encode()
    pipe.write(_REQUEST.pack(len(question), len(body)) + question)
    pipe.write(body)
    pipe.flush()


def read_answer(pipe: IO[bytes]) -> Union[Examined, Fault]:
    """Return a worker's answer.

    Raises:
        EOFError: the worker is gone, or what it says is no answer.
    """
    (length,) = _ANSWER.unpack(_read(pipe, _ANSWER.size))
    if length > MAX_ANSWER_BYTES:
        raise EOFError(f"an answer of {length} bytes")
    answer = json.loads(_read(pipe, length))
    if "fault" in answer:
        return Fault(**answer["fault"])
    return Examined.from_json(answer["examined"])


def main(memory_bytes: int, cpu_s: float, time_s: float) -> None:
    """Serve until the input ends."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever prints by accident must not look like an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bound_memory(memory_bytes)
    answers.write(READY)
    answers.flush()
    while prefix := requests.read(_REQUEST.size):
        question_bytes, body_bytes = _REQUEST.unpack(prefix)
        question = json.loads(_read(requests, question_bytes))
        body = _read(requests, body_bytes)
        # The parent kills a worker that takes too long; without a parent the alarm does.
        _set_alarms(cpu_s, ceil(time_s) + _ALARM_AFTER_S)
        outcome = _examine(TraceHeader.from_json(question["header"]), question["seq"], body)
        _set_alarms(0.0, 0)
        _answer(answers, outcome)
        if isinstance(outcome, Fault) and outcome.code == "decode_memory":
            # What is left of the memory may be in pieces: a fresh process takes over.
            return


def _examine(header: TraceHeader, seq: int, body: bytes) -> Union[Examined, Fault]:
    try:
        return examine(header, seq, body)
    except MemoryError:
        return Fault("decode_memory", "decoding it takes more memory than a clip may")
    except Exception as error:  # a hole in the checks must not cost the worker
        return Fault("decode_crashed", f"{type(error).__name__}: {error}"[:200])


def _answer(pipe: IO[bytes], outcome: Union[Examined, Fault]) -> None:
    answer: dict[str, Any] = (
        {"fault": {"code": outcome.code, "hint": outcome.hint}}
        if isinstance(outcome, Fault)
        else {"examined": outcome.to_json()}
    )
    text = json.dumps(answer).encode()
    pipe.write(_ANSWER.pack(len(text)) + text)
    pipe.flush()


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise EOFError(f"{len(data)} of {size} bytes")
    return data


def _bound_memory(memory_bytes: int) -> None:
    """Limit the address space, where the system can."""
    try:
        import resource
    except ImportError:
        return
    # Some systems know the limit and will not set it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _set_alarms(cpu_s: float, after_s: int) -> None:
    """Let the system end this process by ``CPU_SIGNAL`` or ``SIGALRM``, where it can."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        signal.alarm(after_s)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
