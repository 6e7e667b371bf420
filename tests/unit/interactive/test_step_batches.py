"""The batches of a step are the same, however one got there."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from interactive.integrations.batches import StepBatches

EXAMPLES = 11
STEPS = 17


class Noisy(Dataset[torch.Tensor]):
    """Each example draws from every global generator, as augmentation does."""

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, random.random(), np.random.rand(), float(torch.rand(()))])


def plain() -> DataLoader[torch.Tensor]:
    return DataLoader(Noisy(), batch_size=2, shuffle=True)


def with_generator() -> DataLoader[torch.Tensor]:
    return DataLoader(Noisy(), batch_size=2, shuffle=True, generator=torch.Generator())


def prepared() -> DataLoader[torch.Tensor]:
    from accelerate import Accelerator

    loader: DataLoader[torch.Tensor] = Accelerator(cpu=True).prepare(plain())
    return loader


def seedable() -> DataLoader[torch.Tensor]:
    from accelerate import Accelerator, DataLoaderConfiguration

    configuration = DataLoaderConfiguration(use_seedable_sampler=True)
    accelerator = Accelerator(cpu=True, dataloader_config=configuration)
    loader: DataLoader[torch.Tensor] = accelerator.prepare(plain())
    return loader


MAKERS = [plain, with_generator, prepared, seedable]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("per_step", [1, 4])
def test_a_step_reads_the_same_however_one_got_there(make, per_step) -> None:
    straight = StepBatches(make(), per_step=per_step, seed=3)
    read = {step: list(straight.at(step)) for step in range(1, STEPS)}
    jumping = StepBatches(make(), per_step=per_step, seed=3)
    for step in (5, 6, 2, 3, 4, 5, 16, 1, 6, 7, 8, 7):
        found = list(jumping.at(step))
        assert len(found) == len(read[step])
        assert all(torch.equal(a, b) for a, b in zip(found, read[step], strict=True)), step


@pytest.mark.parametrize("make", MAKERS)
def test_a_pass_reads_each_example_once_in_an_order_of_its_own(make) -> None:
    batches = StepBatches(make(), per_step=4)
    passes = [[b for step in (n, n + 1) for b in batches.at(step)] for n in (1, 3)]
    orders = [torch.cat(one)[:, 0].tolist() for one in passes]
    assert [sorted(order) for order in orders] == [list(range(EXAMPLES))] * 2
    assert orders[0] != orders[1]


def test_another_seed_is_another_order() -> None:
    one, other = (list(StepBatches(plain(), per_step=6, seed=seed).at(1)) for seed in (0, 1))
    assert not torch.equal(torch.cat(one), torch.cat(other))


def test_reading_data_draws_nothing_from_the_loop() -> None:
    batches = StepBatches(plain())
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(batches.at(1))
    assert torch.equal(torch.rand(1), expected)


def test_an_empty_loader_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        StepBatches(DataLoader(Noisy(), batch_size=20, drop_last=True))
