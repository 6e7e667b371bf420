"""The engine: one step for all sessions at once (arXiv 2507.08800, 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data_collection.trace import FPS
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS, Floats, Keys
from neuralos.data.latents import encode_frames
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.runtime.capture import (
    DevicePlan,
    Step,
    capture,
    finish,
    plan_of,
    prepare_weights,
    to_host,
)
from neuralos.runtime.inputs import NO_CONTROLS, Controls, is_usable, usable
from neuralos.runtime.sessions import Passenger, Session, Slots
from neuralos.runtime.swap import StagedWeights, copy_weights, stage

Frames = npt.NDArray[np.uint8]


class BadPassenger(ValueError):
    """A session cannot join with the state that it brings; the message says why."""


@dataclass(frozen=True, slots=True)
class Known:
    """Frames (N, Y, P, 3) from which a session goes on, and what led to each."""

    frames: Frames
    actions: Floats
    keys: Keys


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one step gave: a frame (Y, P, 3) a session, and the sessions that failed."""

    frames: Mapping[Session, Frames]
    failed: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Buffers:
    """The tensors that a step reads and writes, at the same place for as long as it runs."""

    state: SimulatorState
    action_BA: Tensor
    keys_BK: Tensor
    stepping_B: Tensor
    noise_BCHW: Tensor

    def row(self, slot: int) -> Buffers:
        """Return the tensors of one slot, which are views."""
        row = slice(slot, slot + 1)
        return Buffers(
            self.state.map(lambda tensor: tensor[row]),
            self.action_BA[row],
            self.keys_BK[row],
            self.stepping_B[row],
            self.noise_BCHW[row],
        )

    def wipe(self, slot: int) -> None:
        """Leave nothing in a slot."""
        inputs = (self.action_BA, self.keys_BK, self.stepping_B, self.noise_BCHW)
        for tensor in (*self.state.tensors(), *inputs):
            tensor[slot].zero_()


class Engine:
    """Steps up to ``len(slots)`` sessions together; build it with ``make_engine``.

    A session's frames depend on its own inputs and seed only, not on the others; where
    sessions are computed apart, neither on its slot or on how many there are. The simulator
    is the engine's own. All calls but ``board``, ``board_fresh`` and ``stage`` belong to one
    thread.
    """

    def __init__(
        self, simulator: Simulator, slots: Slots, plan: DevicePlan, buffers: Buffers
    ) -> None:
        self.simulator = simulator
        self.plan = plan
        self.counters: Counter[str] = Counter()
        self._code = simulator.autoencoder.digest()
        self._slots = slots
        self._buffers = buffers
        self._host = tuple(map(_pinned, (buffers.action_BA, buffers.keys_BK, buffers.stepping_B)))
        self._step: Step = self._advance_all
        self._outputs: tuple[Tensor, ...] = ()
        self._changes = 0

    @property
    def sessions(self) -> list[Session]:
        """Return the sessions in the order of their slots."""
        return self._slots.sessions

    @torch.inference_mode()
    def capture(self) -> None:
        """Make the step as fast as the device allows; done once, before the first session."""
        self._step = capture(self._advance_all, self.plan)

    def board(self, name: str, seed: int, known: Known) -> Passenger:
        """Get a session ready to join that goes on from frames; any thread may call this.

        Args:
            name: for messages.
            seed: of the session's noise.
            known: the frames that it goes on from, at least one.
        """
        known = usable_known(known)
        return self._make(name, seed, lambda: self._follow(known))

    def board_fresh(self, name: str, seed: int, controls: Controls) -> Passenger:
        """Get a session ready to join of which no frame is known; any thread may call this.

        Args:
            name: for messages.
            seed: of the session's noise.
            controls: where pointer, buttons and keys are before the first frame.
        """
        action = usable(controls, NO_CONTROLS.action, Counter()).action
        return self._make(name, seed, lambda: self._start(action))

    @torch.inference_mode()
    def join(self, passenger: Passenger) -> Session:
        """Put a session into the lowest free slot, between two frames.

        Raises:
            NoFreeSlot: there is none.
            BadPassenger: weights with another autoencoder came in since it was made ready,
                or its last action is no action.
        """
        if passenger.code != self._code:
            raise BadPassenger(f"{passenger.name}: made for another autoencoder; board again")
        # Actions say where to look into tables: one that is no number would end the process.
        if not is_usable(passenger.state.action.cpu().numpy()):
            raise BadPassenger(f"{passenger.name}: the action of its last frame is out of range")
        session = self._slots.take(passenger)
        for row, tensor in zip(
            passenger.state.tensors(), self._buffers.state.tensors(), strict=True
        ):
            tensor[session.slot].copy_(row[0])
        return session

    @torch.inference_mode()
    def park(self, session: Session) -> Passenger:
        """Take a session out and return it, to join this or another engine later.

        Raises:
            NoSuchSession: it is not here.
        """
        self._slots.check(session)
        row = slice(session.slot, session.slot + 1)
        state = self._buffers.state.map(lambda tensor: tensor[row].clone())
        self.leave(session)
        return Passenger(session.name, session.seed, state, self._code, session.drawn)

    @torch.inference_mode()
    def leave(self, session: Session) -> None:
        """Take a session out; nothing of it stays.

        Raises:
            NoSuchSession: it is not here.
        """
        self._slots.free(session)
        self._buffers.wipe(session.slot)
        for tensor in (*self._host, *self._outputs):
            tensor[session.slot].zero_()

    @torch.inference_mode()
    def step(self, controls: Mapping[Session, Controls]) -> Drawn:
        """Draw the next frame of some sessions; the others stay as they are.

        A session whose state is no longer finite is taken out and named among the failed.

        Raises:
            NoSuchSession: one of them is not here.
            ValueError: an input is not of an input's shape.
        """
        for session in controls:
            self._slots.check(session)
        self._fill(controls)
        outputs = self._step()
        frames_BYP3, sound_B = map(to_host, outputs)
        # A captured step leaves its frames in memory; else they are the caller's alone.
        self._outputs = outputs if self.plan.graph else ()
        finish(self.plan)
        frames, sound = frames_BYP3.numpy(), sound_B.tolist()
        for session in controls:
            session.drawn += 1
        failed = tuple(session for session in controls if not sound[session.slot])
        for session in failed:
            self._fail(session)
        drawn = {one: frames[one.slot] for one in controls if not one.failure}
        return Drawn(drawn, failed)

    def stage(self, simulator: Simulator) -> StagedWeights:
        """Check new weights and get them ready; other threads may call this.

        Raises:
            SwapRefused: they do not fit.
        """
        return stage(simulator, self.simulator, self.plan)

    @torch.inference_mode()
    def swap(self, staged: StagedWeights) -> None:
        """Go on with other weights; latents of another autoencoder are coded anew."""
        self._changes += 1
        try:
            if staged.code != self._code:
                self._recode(staged)
            copy_weights(staged, self.simulator)
            finish(self.plan)
            self._code = staged.code
        finally:
            self._changes += 1

    def _advance_all(self) -> tuple[Tensor, ...]:
        """Draw the next frames; return them, and whose state is finite."""
        if not self.plan.apart:
            return self._advance(self._buffers)
        screen, count = self.simulator.screen, len(self._slots)
        frames = torch.zeros(count, screen.height_px, screen.width_px, 3, dtype=torch.uint8)
        sound = torch.zeros(count, dtype=torch.bool)
        for slot in self._buffers.stepping_B.nonzero().flatten().tolist():
            row = slice(slot, slot + 1)
            frames[row], sound[row] = self._advance(self._buffers.row(slot))
        return frames, sound

    def _advance(self, buffers: Buffers) -> tuple[Tensor, Tensor]:
        """Draw a frame in every slot, and keep the new state of those that are stepping."""
        with self.plan.autocast():
            latent, after = self.simulator.step(
                buffers.state, buffers.action_BA, buffers.keys_BK, buffers.noise_BCHW
            )
            frames = self.simulator.autoencoder.decode(latent)
        sums = [tensor.flatten(1).sum(1, dtype=torch.float32) for tensor in after.tensors()]
        sound = torch.isfinite(torch.stack(sums)).all(0)
        for tensor, new in zip(buffers.state.tensors(), after.tensors(), strict=True):
            stepping = buffers.stepping_B.view(-1, *[1] * (tensor.dim() - 1))
            tensor.copy_(torch.where(stepping, new.to(tensor.dtype), tensor))
        return frames, sound

    def _fill(self, controls: Mapping[Session, Controls]) -> None:
        action_BA, keys_BK, stepping_B = (tensor.numpy() for tensor in self._host)
        stepping_B[:] = False
        for session, given in controls.items():
            counted: Counter[str] = Counter()
            said = usable(given, action_BA[session.slot], counted)
            if counted:
                session.counters += counted
                self.counters += counted
            action_BA[session.slot], keys_BK[session.slot] = said.action, said.keys
            stepping_B[session.slot] = True
            session.fill_noise(self._buffers.noise_BCHW[session.slot])
        inputs = (self._buffers.action_BA, self._buffers.keys_BK, self._buffers.stepping_B)
        for tensor, host in zip(inputs, self._host, strict=True):
            if tensor is not host:
                tensor.copy_(host, non_blocking=True)

    def _make(self, name: str, seed: int, state: Callable[[], SimulatorState]) -> Passenger:
        while True:
            changes, code = self._changes, self._code
            passenger = Passenger(name, seed, state(), code)
            # Weights that changed meanwhile may have been read half.
            if changes == self._changes and changes % 2 == 0:
                return passenger

    @torch.inference_mode()
    def _start(self, action: Floats) -> SimulatorState:
        with self.plan.autocast():
            return self.simulator.start_state(torch.from_numpy(action)[None].to(self.plan.device))

    @torch.inference_mode()
    def _follow(self, known: Known) -> SimulatorState:
        """Return the state, one row, after frames that are known."""
        simulator, device = self.simulator, self.plan.device
        actions = torch.from_numpy(known.actions).to(device)
        keys = torch.from_numpy(known.keys).to(device)
        with self.plan.autocast():
            latents = torch.cat(
                [
                    encode_frames(simulator.autoencoder, known.frames[first : first + FPS])
                    for first in range(0, len(known.frames), FPS)
                ]
            )
            state = simulator.initial_state(latents[:1], actions[:1])
            for t in range(1, len(latents)):
                row = slice(t, t + 1)
                state = simulator.take(state, latents[row], actions[row], keys[row])
        return state

    def _recode(self, staged: StagedWeights) -> None:
        old, new = self.simulator.autoencoder, staged.simulator.autoencoder
        with self.plan.autocast():
            state = self._buffers.state.map_latents(
                lambda latent: new.encode(old.decode(latent)).to(latent.dtype)
            )
        empty = torch.ones(len(self._slots), dtype=torch.bool)
        empty[[session.slot for session in self.sessions]] = False
        state = state.without(empty.to(self.plan.device))
        for tensor, recoded in zip(self._buffers.state.tensors(), state.tensors(), strict=True):
            tensor.copy_(recoded)

    def _fail(self, session: Session) -> None:
        state = self._buffers.state.state_dict()
        broken = [name for name, tensor in state.items() if not _is_finite(tensor[session.slot])]
        session.failure = (
            f"{session.name}: its state is no longer finite after frame {session.drawn}: "
            f"{', '.join(broken) or 'a sum overflows'}"
        )
        self.counters["sessions_failed"] += 1
        self.leave(session)


def make_engine(simulator: Simulator, slots: int, plan: DevicePlan | None = None) -> Engine:
    """Return an engine that steps a simulator, which is its own from now on.

    Args:
        simulator: what is played.
        slots: how many sessions there may be at once.
        plan: how it runs; without one, eagerly on the simulator's own device.
    """
    plan = plan or plan_of(simulator)
    prepare_weights(simulator, plan)
    engine = Engine(simulator, Slots(slots), plan, make_buffers(simulator, slots, plan))
    engine.capture()
    return engine


def usable_known(known: Known) -> Known:
    """Return known frames whose actions models can read; see ``usable``."""
    said, uncounted = [NO_CONTROLS], Counter[str]()
    for action, keys in zip(known.actions, known.keys, strict=True):
        said.append(usable(Controls(action, keys), said[-1].action, uncounted))
    actions, keys = zip(*((one.action, one.keys) for one in said[1:]), strict=True)
    return Known(known.frames, np.stack(actions), np.stack(keys))


@torch.inference_mode()
def make_buffers(simulator: Simulator, slots: int, plan: DevicePlan) -> Buffers:
    """Return the tensors of an empty engine, each with memory of its own."""
    device = plan.device
    noise = torch.zeros(slots, *simulator.latent_shape, device=device)
    action = torch.zeros(slots, ACTION_SIZE, device=device)
    keys = torch.zeros(slots, KEY_SLOTS, dtype=torch.int64, device=device)
    stepping = torch.zeros(slots, dtype=torch.bool, device=device)
    with plan.autocast():
        kind = simulator.initial_state(noise, action)
    # Fields may share one tensor, or be one row that is repeated: each gets its own.
    state = kind.map(lambda tensor: torch.zeros(tensor.shape, dtype=_kept(tensor), device=device))
    return Buffers(state, action, keys, stepping, noise)


def _kept(tensor: Tensor) -> torch.dtype:
    """Return the precision in which a state is carried."""
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _pinned(tensor: Tensor) -> Tensor:
    """Return where the host writes a tensor: itself on a CPU, else pinned memory."""
    if tensor.device.type == "cpu":
        return tensor
    return torch.zeros(tensor.shape, dtype=tensor.dtype, pin_memory=True)


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
