"""Steers a Hugging Face ``Trainer``; its inner loop stays its own.

train_steered(trainer, run_dir)  # in place of trainer.train()

Commands are served before the batches of a step are fetched. A checkpoint that is loaded
(a branch, a crashed run, a replay) moves the run to another step: ``Trainer.train`` is left
and entered again with ``resume_from_checkpoint``, so that the ``Trainer`` itself finds the
place in the data.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, set_seed

from interactive.integrations.batches import place_word
from interactive.integrations.hf_parts import STATE_FILE, HfParts, refuse_trainer, write_weights
from interactive.integrations.loop import NewRun, print_warning, steer
from interactive.integrations.parts import Evaluation, Stateful
from interactive.integrations.settings import Settings
from interactive.record.branch import MAIN
from interactive.record.data_log import DataLog
from interactive.replaying.own_loop import Replaying
from interactive.steering.boundary import Cadence
from interactive.steering.source import Source
from interactive.steering.steered import Steered

_HANDED = ".steered-"
"""How the folders begin that the trainer is entered again with."""


def train_steered(
    trainer: Trainer,
    run_dir: Path | str,
    *,
    settings: Settings | None = None,
    evaluations: Mapping[str, Evaluation] | None = None,
    also: Mapping[str, Stateful] | None = None,
    code: str = "",
    digest_every: int = 1,
    connect: Callable[[DataLog], Source] | None = None,
    cadence: Cadence | None = None,
    clock: Callable[[], float] = time.time,
    warn: Callable[[str], None] = print_warning,
) -> Any:
    """Train as ``trainer.train()`` does, steered, recorded, and taken up where it was left.

    Loss and gradient norm of a step are exact: the sum of its micro-batches' losses as
    ``training_step`` returns them, and the norm before clipping. The global generators are
    keyed by epoch and step, so dropout is the same in a branch and in a replay.

    Args:
        trainer: not yet trained; it holds its model (no ``model_init``).
        run_dir: the run folder; it is made if there is no run in it.
        settings: what else can be set while training.
        evaluations: further ones by name; ``eval_dataset`` gives one by itself.
        also: whatever else changes while training, by name; saved and restored.
        code: identifies the script's code, so that a replay can say that it differs.
        digest_every: the parameters' digest is recorded each so many steps.
        connect: makes what commands come from; the run's server if None.
        cadence: what the run does by itself; if None, a checkpoint every
            ``TrainingArguments.save_steps`` where ``save_strategy`` is "steps".
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what went wrong and did not matter to the training.

    Returns:
        The ``TrainOutput`` of the last stretch.

    Raises:
        ValueError: the trainer cannot be steered; the message says why.
        RunFolderError: the folder cannot be used, or has a trainer already.
        Diverged: a redone step is not what had been recorded.
    """
    refuse_trainer(trainer)
    new = NewRun(seed=trainer.args.seed, code_version=code)

    def open_parts() -> HfParts:
        return HfParts(
            trainer,
            settings=settings,
            evaluations=evaluations,
            also=also,
            code=code,
            digest_every=digest_every,
        )

    def open_run(parts: HfParts) -> Any:
        planned = cadence or _cadence_of(trainer.args)
        last = trainer.state.max_steps
        planned = replace(planned, end_step=min(last, planned.end_step or last))
        return steer(
            run_dir, parts, new=new, connect=connect, cadence=planned, clock=clock, warn=warn
        )

    with ExitStack() as stack:
        driver = _Driver(trainer, open_parts, lambda parts: stack.enter_context(open_run(parts)))
        stack.enter_context(driver.attached())
        return driver.train()


class _Moved(BaseException):
    """Leaves ``Trainer.train``, to enter it again at another step."""


class _Driver(TrainerCallback):  # type: ignore[misc]
    """Stands between a ``Trainer`` and the run; see the module."""

    def __init__(
        self,
        trainer: Trainer,
        open_parts: Callable[[], HfParts],
        open_run: Callable[[HfParts], Steered],
    ) -> None:
        self._trainer = trainer
        self._open_parts = open_parts
        self._open_run = open_run
        self._opened: tuple[HfParts, Steered] | None = None
        self._own_batches = trainer.get_batch_samples
        self._own_step = trainer.training_step
        self._own_clip = trainer.accelerator.clip_grad_norm_
        self._output_dir = trainer.args.output_dir
        self._loss: Any = None
        self._grad_norm: Any = None
        self._has_ended = False

    @property
    def _parts(self) -> HfParts:
        assert self._opened is not None
        return self._opened[0]

    @property
    def _run(self) -> Steered:
        assert self._opened is not None
        return self._opened[1]

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Listen to the trainer; afterwards it is its own again."""
        trainer = self._trainer
        trainer.add_callback(self)
        trainer.get_batch_samples = self._batches
        trainer.training_step = self._training_step
        trainer.accelerator.clip_grad_norm_ = self._clip
        try:
            yield
        finally:
            trainer.remove_callback(self)
            del trainer.get_batch_samples, trainer.training_step
            trainer.accelerator.clip_grad_norm_ = self._own_clip
            trainer.args.output_dir = self._output_dir

    def train(self) -> Any:
        """Train to the end of the run, in as many stretches as it takes."""
        resume: Path | None = None
        while True:
            # The order of the data follows from this seed wherever a stretch begins.
            set_seed(self._trainer.args.seed)
            try:
                return self._trainer.train(resume_from_checkpoint=str(resume) if resume else None)
            except _Moved:
                pass
            finally:
                if resume is not None:
                    shutil.rmtree(resume, ignore_errors=True)
            resume = self._hand_over()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the run up, now that the trainer has its optimizer and schedule."""
        if self._opened is None:
            parts = self._open_parts()
            # This schedule stays when the trainer is entered again.
            self._trainer.lr_scheduler = parts.schedule
            self._trainer._created_lr_scheduler = False
            self._opened = (parts, self._open_run(parts))
            for left in Path(self._output_dir).glob(f"{_HANDED}*"):
                shutil.rmtree(left, ignore_errors=True)  # By a process that was killed.

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Key what the data loader draws by the epoch."""
        set_seed(place_word(args.seed, "epoch", int(state.epoch or 0)))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Key what the model draws, such as dropout, by the step."""
        set_seed(place_word(args.seed, "step", state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Record the step that was made."""
        self._run.record(self._parts.made(self._loss, self._grad_norm))
        self._loss = self._grad_norm = None
        self._keep_from_saving(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Give a schedule such as ReduceLROnPlateau its metric, as the trainer would."""
        self._parts.evaluated(given.get("metrics") or {})

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Meet the end of the training while the weights are still those of the last step."""
        self._keep_from_saving(control)
        if control.should_training_stop and not self._has_ended:
            if state.global_step < state.max_steps:
                self._run.request_end()
            self._cross()

    def _batches(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        """Cross the boundary before a step, and fetch its batches if there is one."""
        if not self._cross():
            self._trainer.control.should_training_stop = True
            return [], None
        batches: tuple[list[Any], Any] = self._own_batches(*args, **kwargs)
        return batches

    def _cross(self) -> bool:
        """Return whether there is a next step here.

        Raises:
            _Moved: there is one elsewhere.
        """
        goes_on = self._run.cross()
        self._has_ended = not goes_on
        args, branch = self._trainer.args, self._run.status().branch
        if self._parts.clipping is not None:
            args.max_grad_norm = self._parts.clipping.max_grad_norm
        # What the trainer saves itself on a branch must not replace what the parent saved.
        args.output_dir = self._output_dir
        if branch != MAIN:
            args.output_dir = str(Path(self._output_dir) / "branches" / branch)
        if goes_on and self._parts.loaded_state is not None:
            raise _Moved
        return goes_on

    def _hand_over(self) -> Path:
        """Write what the trainer resumes from: its own state, and the weights as they are now."""
        state, self._parts.loaded_state = self._parts.loaded_state, None
        Path(self._output_dir).mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_HANDED, dir=self._output_dir))
        write_weights(self._trainer.model, folder)
        (folder / STATE_FILE).write_text(str(state), "utf-8")
        return folder

    def _keep_from_saving(self, control: Any) -> None:
        """A replay leaves the checkpoints of the run that it replays alone."""
        if isinstance(self._run, Replaying):
            control.should_save = False

    def _training_step(self, *args: Any, **kwargs: Any) -> Any:
        loss = self._own_step(*args, **kwargs)
        self._loss = loss if self._loss is None else self._loss + loss
        return loss

    def _clip(self, *args: Any, **kwargs: Any) -> Any:
        self._grad_norm = self._own_clip(*args, **kwargs)
        return self._grad_norm


def _cadence_of(args: Any) -> Cadence:
    if args.save_strategy != "steps" or args.save_steps < 1:
        return Cadence()
    keep = args.save_total_limit or Cadence().keep_checkpoints
    return Cadence(checkpoint_every=int(args.save_steps), keep_checkpoints=keep)
