"""The recurrent network of the public model: its paths agree, its rows are apart."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from neuralos.models.paper.attention import FrameAttention
from neuralos.models.paper.inputs import PaperInput
from neuralos.models.paper.lstm import lstm_step
from neuralos.models.paper.temporal_encoder import TemporalEncoder, Track
from tests.unit.neuralos.micro_paper import MICRO_PAPER, micro_parts, random_inputs

NEAR = 1e-5


@pytest.fixture(scope="module")
def network() -> TemporalEncoder:
    return micro_parts().temporal


def _latents(batch: int, frames: int, generator: torch.Generator) -> Tensor:
    return torch.randn(batch, frames, 4, 6, 8, generator=generator)


def _near(a: Track, b: Track) -> bool:
    pairs = zip(a.tensors(), b.tensors(), strict=True)
    return all(torch.allclose(x, y, atol=NEAR) for x, y in pairs)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 3), st.integers(1, 6))
def test_unrolled_is_stepped(seed: int, batch: int, frames: int) -> None:
    network, generator = micro_parts(seed=3).temporal, torch.Generator().manual_seed(seed)
    inputs, latents = random_inputs(batch, frames, generator), _latents(batch, frames, generator)
    with torch.no_grad():
        unrolled, last = network.unroll(inputs, latents, network.start(batch))
        track = network.start(batch)
        for t in range(frames):
            context, track = network.step(inputs.at(t), latents[:, t], track)
            assert torch.allclose(unrolled[:, t], context, atol=NEAR)
    assert _near(last, track)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**20), st.integers(2, 5), st.data())
def test_a_row_of_a_batch_is_the_single_run(seed: int, batch: int, data: st.DataObject) -> None:
    network, generator = micro_parts(seed=4).temporal, torch.Generator().manual_seed(seed)
    inputs, latents = random_inputs(batch, 4, generator), _latents(batch, 4, generator)
    row = data.draw(st.integers(0, batch - 1))
    rows = slice(row, row + 1)
    with torch.no_grad():
        together, track = network.unroll(inputs, latents, network.start(batch))
        alone, single = network.unroll(inputs.rows(rows), latents[rows], network.start(1))
    assert torch.allclose(together[rows], alone, atol=NEAR)
    assert _near(Track(*(tensor[rows] for tensor in track.tensors())), single)


def test_a_session_that_starts_forgets_what_was(network: TemporalEncoder) -> None:
    generator = torch.Generator().manual_seed(5)
    inputs, latents = random_inputs(2, 5, generator, 0.0), _latents(2, 5, generator)
    inputs.session_start[0, 3] = True
    other = latents.clone()
    other[:, :3] += 1
    with torch.no_grad():
        ours, _ = network.unroll(inputs, latents, network.start(2))
        theirs, _ = network.unroll(inputs, other, network.start(2))
        late = PaperInput.stack([inputs.at(t) for t in (3, 4)])
        fresh, _ = network.unroll(late, latents[:, 3:], network.session.track(2))
    assert torch.equal(ours[0, 3:], theirs[0, 3:])
    assert not torch.allclose(ours[1, 3:], theirs[1, 3:], atol=NEAR)
    assert torch.allclose(ours[0, 3:], fresh[0], atol=NEAR)


def test_attention_is_that_of_torch() -> None:
    """The short way past keys and values gives what the long way gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        ours = FrameAttention(MICRO_PAPER)
        theirs = nn.MultiheadAttention(32, 8, batch_first=True)
        for linear in (ours.query, ours.key, ours.value):
            nn.init.normal_(linear.bias)
        latent = torch.randn(3, 4, 6, 8)
        asked = torch.randn(3, 32)
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
        tokens = ours.tokens(latent)
        wanted, _ = theirs(asked[:, None], tokens, tokens)
        found = ours(asked, latent)
    assert torch.allclose(found, wanted[:, 0], atol=NEAR)


@pytest.mark.parametrize("batch", [1, 3])
def test_an_lstm_steps_as_torch_does(batch: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        cell = nn.LSTMCell(5, 6)
        inputs, hidden, memory = torch.randn(batch, 5), torch.randn(batch, 6), torch.randn(batch, 6)
    with torch.no_grad():
        pairs = zip(
            lstm_step(cell, inputs, hidden, memory), cell(inputs, (hidden, memory)), strict=True
        )
        assert all(torch.allclose(ours, theirs, atol=1e-6) for ours, theirs in pairs)


def test_weights_in_half_precision_carry_a_whole_state() -> None:
    network, whole = micro_parts(seed=9).temporal.bfloat16(), micro_parts(seed=9).temporal
    generator = torch.Generator().manual_seed(9)
    inputs, latents = random_inputs(2, 3, generator), _latents(2, 3, generator)
    with torch.no_grad():
        context, track = network.unroll(inputs, latents, network.start(2))
        wanted, _ = whole.unroll(inputs, latents, whole.start(2))
    assert {tensor.dtype for tensor in track.tensors()} == {torch.float32}
    assert context.dtype is torch.float32
    assert torch.allclose(context, wanted, atol=0.1)


def test_the_cursor_map_is_highest_where_the_cursor_is(network: TemporalEncoder) -> None:
    with torch.no_grad():
        maps = network.cursor_map(torch.tensor([16, 63]), torch.tensor([40, 0]))
    assert maps.shape == (2, 6, 8)
    assert maps[0, 5, 2] == 1
    assert maps[0].argmax() == 5 * 8 + 2
    assert maps[1].argmax() == 7
    assert maps[1].max() < 1
    one_cell_off = torch.exp(torch.tensor(-0.5))
    assert torch.allclose(maps[0, 5, 3], one_cell_off)


def test_every_parameter_is_trained() -> None:
    network, generator = micro_parts(seed=8).temporal, torch.Generator().manual_seed(8)
    inputs, latents = random_inputs(3, 4, generator), _latents(3, 4, generator)
    inputs.session_start[0, 0] = True
    inputs.session_start[1, 0] = False
    context, _ = network.unroll(inputs, latents, network.start(3))
    context.square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
