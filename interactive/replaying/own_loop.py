"""Replays a run inside a training loop that makes its own steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from interactive.record.data_log import DataLog
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import REPORT, count_live_clips, is_same_fingerprint
from interactive.replaying.report import ReplayReport, compare_passes
from interactive.replaying.rerun import Rerun
from interactive.replaying.rerun_folder import Order, RerunFolder, differences
from interactive.steering.retrace import next_step
from interactive.steering.steered import Status
from interactive.trainer import ControllableTrainer, DataLost, StepRecord

REPLAY = "INTERACTIVE_REPLAY"
"""The environment variable that names the file of a ``ReplayPlan``."""

UNCHECKED = "unchecked"
"""The promise of a first pass on another machine: a second one must be compared with it."""


class BadReplayPlan(Exception):
    """A replay was asked for in a way that makes no sense."""

    def __init__(self, path: Path, why: str) -> None:
        """Say which file, and why."""
        super().__init__(f"{path} is no plan of a replay: {why}")
        self.hint = f"unset {REPLAY} to train, or let `neuralos ctl replay` set it."


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to replay.

    Args:
        run: the run folder; it is only read.
        out: where rows and ``report.json`` go.
        ledger: another ledger to follow; the run's own if None.
        first_pass: the rows of an earlier pass here, to be compared with in place of a record
            that another machine made.
    """

    run: Path
    out: Path
    ledger: Path | None = None
    first_pass: Path | None = None

    def write(self, path: Path) -> None:
        """Write the plan where ``read`` finds it."""
        plan = {name: str(value) if value else None for name, value in asdict(self).items()}
        path.write_text(json.dumps(plan) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> ReplayPlan:
        """Read a plan.

        Raises:
            BadReplayPlan: the file is not there, or no plan.
        """
        try:
            named = json.loads(path.read_text("utf-8"))
            return cls(**{name: Path(value) for name, value in named.items() if value is not None})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadReplayPlan(path, str(error)) from error

    def read_report(self) -> ReplayReport | None:
        """Return what was found; None where no replay came to its end."""
        try:
            return ReplayReport.from_json(json.loads((self.out / REPORT).read_text("utf-8")))
        except FileNotFoundError:
            return None


class Replaying:
    """A replay, driven by the loop that it replays; use ``open_replay``.

    There is no next step after the last recorded one, or, on the machine of the record,
    after the first that differs.
    """

    def __init__(self, plan: ReplayPlan, trainer: ControllableTrainer) -> None:
        """Read the run; ``trainer`` is fresh."""
        folder = RunFolder.open(plan.run, writable=False)
        own_entries = read_ledger(folder.ledger)
        self._trainer = trainer
        self._plan = plan
        self._records = list(read_metrics(folder.metrics))
        self._data = DataLog.open(folder.data)
        here = trainer.fingerprint()
        self._is_same = is_same_fingerprint(own_entries, here)
        sessions = [entry for entry in own_entries if entry.kind is EntryKind.SESSION]
        self._differs = tuple(
            dict.fromkeys(
                difference
                for entry in sessions
                for difference in differences(entry.body["fingerprint"], here)
            )
        )
        entries = read_ledger(plan.ledger) if plan.ledger is not None else own_entries
        self._open = ExitStack()
        self._rerun = Rerun(
            trainer,
            self._data,
            self._open.enter_context(
                RerunFolder.opened(plan.out, Order(folder, entries, self._records))
            ),
            stop_at_divergence=self._is_same,
            progress=lambda steps: None,
        )
        self._steps = self._rerun.steps()
        self._is_asked = False
        self._made: StepRecord | None = None
        self._end_requested = False
        self._status = Status("recovering", trainer.step, "main", 0, trainer.settings())
        self.report: ReplayReport | None = None
        """What was found; None before the end."""

    def cross(self) -> bool:
        """Apply what is due before the next step, and return whether there is one."""
        if self.report is not None:
            return False
        if not self._is_asked or self._made is not None:
            made, self._made = self._made, None
            self._is_asked = next_step(self._steps, made)
        if self._is_asked and not self._end_requested:
            return True
        self._finish()
        return False

    def record(self, record: StepRecord) -> None:
        """Take what the step that was just made did; it is compared at the next boundary."""
        self._made = record

    def lose(self, lost: DataLost) -> None:
        """End the replay.

        Raises:
            DataLost: always; only a trainer that is told to step can begin elsewhere.
        """
        raise lost

    def request_end(self) -> None:
        """End before the next step: what was not made again is not identical."""
        self._end_requested = True

    def status(self) -> Status:
        """Return where the replay stands."""
        return replace(self._status, step=self._trainer.step)

    def end(self) -> None:
        """Judge what was made, where the loop ended without another boundary."""
        self._end_requested = True
        self.cross()

    def abandon(self) -> None:
        """Let go of what is open; there is no report."""
        self._steps.close()
        self._open.close()

    def _finish(self) -> None:
        self._steps.close()
        self._open.close()
        self._status = replace(self._status, state="stopped")
        self.report = report = self._judge()
        text = json.dumps(report.to_json(), indent=2) + "\n"
        (self._plan.out / REPORT).write_text(text, "utf-8")

    def _judge(self) -> ReplayReport:
        rerun, steps, deviation = self._rerun, len(self._records), None
        identical, divergence, promise = rerun.identical, rerun.first_divergence, "same_fingerprint"
        if not self._is_same:
            deviation, steps = divergence, len(rerun.rows)
            identical, divergence, promise = 0, None, UNCHECKED
            if self._plan.first_pass is not None:
                first = list(read_metrics(self._plan.first_pass))
                identical, divergence = compare_passes(first, rerun.rows)
                steps, promise = len(first), "self"
        used = {commit for row in self._records for commit in row.commits}
        withdrawn = tuple(sorted(used & self._data.withdrawn))
        live = count_live_clips(self._data, used)
        return ReplayReport(
            steps,
            identical,
            divergence,
            promise,
            withdrawn,
            live,
            deviation,
            differs=self._differs,
        )


@contextmanager
def open_replay(plan: ReplayPlan, trainer: ControllableTrainer) -> Iterator[Replaying]:
    """Replay a run in a loop that makes its own steps, and write the report.

    Args:
        plan: what to replay.
        trainer: fresh.

    Raises:
        RunFolderError: there is no run to replay.
    """
    replaying = Replaying(plan, trainer)
    try:
        yield replaying
    except BaseException:
        replaying.abandon()
        raise
    replaying.end()
