"""Averaged weights beside torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from sightline.networks.network import Network
from sightline.training.averaging import Average


def small() -> Network:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(body, 4, 2, (0.5,) * 3, (0.5,) * 3)


def learn(network: Network, step: int) -> None:
    images = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(step))
    nn.functional.cross_entropy(network(images), torch.arange(8) % 2).backward()
    with torch.no_grad():
        for weight in network.parameters():
            weight -= 0.5 * weight.grad
            weight.grad = None


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_weights_and_statistics_follow_as_torchs_do(decay):
    network = small()
    average = Average(network, decay)

    def rule(mean, new, count):
        return (
            torch.lerp(mean, new, 1 - min(decay, (1 + float(count)) / (10 + float(count))))
            if mean.is_floating_point()
            else new
        )

    theirs = AveragedModel(network, avg_fn=rule, use_buffers=True)
    for step in range(20):
        learn(network, step)
        average.update()
        theirs.update_parameters(network)
    wanted = theirs.module.state_dict()
    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name], msg=name)
    assert not torch.equal(average.network.head.weight, network.head.weight)


def test_without_a_decay_there_is_no_other_network():
    network = small()
    average = Average(network, 0.0)
    average.update()
    assert average.network is network


def test_before_the_first_step_it_is_the_network_and_then_its_copy():
    network = small()
    average = Average(network, 0.9)
    assert average.network is network
    average.update()
    assert average.network is not network
    assert torch.equal(average.network.head.weight, network.head.weight)
    assert not any(weight.requires_grad for weight in average.network.parameters())
    assert all(weight.requires_grad for weight in network.parameters())
