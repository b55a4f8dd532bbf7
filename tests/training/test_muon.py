"""Muon against torch's own, against the singular value decomposition, and SGD groups against torch's SGD."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sightline.training.muon import Muon, orthogonalize


def random_matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16), (1, 9), (5, 1)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_direction_keeps_the_singular_vectors_and_evens_the_values(shape, scale):
    matrix = random_matrix(*shape) * scale
    u, values, vh = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonalize(matrix, steps=5) @ vh.T
    diagonal = found.diagonal()
    large = values > 0.02 * values.max()
    assert (found - diagonal.diag()).abs().max() < 1e-3
    assert (diagonal[large] > 0.6).all() and (diagonal < 1.3).all()


def test_a_gradient_of_zero_or_of_rank_one_gives_numbers():
    assert not orthogonalize(torch.zeros(4, 6)).any()
    outer = torch.outer(torch.arange(4.0), torch.arange(6.0))
    assert torch.linalg.matrix_norm(orthogonalize(outer, steps=5), 2) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (6, 24)])
def test_matrices_move_as_with_torchs_muon(rows, columns):
    # torch averages gradients where we sum them, which a direction without scale does not see. It iterates in
    # bfloat16, hence the tolerance; and it enlarges the rate of tall matrices, so these are wide.
    ours, theirs = (nn.Parameter(random_matrix(rows, columns)) for _ in range(2))
    mine = Muon([ours], lr=0.05, momentum=0.9, weight_decay=0.1, steps=5)
    other = torch.optim.Muon([theirs], lr=0.05, momentum=0.9, weight_decay=0.1, ns_steps=5)
    for seed in range(1, 5):
        ours.grad = random_matrix(rows, columns, seed)
        theirs.grad = ours.grad.clone()
        mine.step()
        other.step()
    moved = (theirs - random_matrix(rows, columns)).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_sgd_groups_move_exactly_as_with_torchs_sgd():
    ours, theirs = (nn.Parameter(torch.arange(5.0)) for _ in range(2))
    mine = Muon([{"params": [ours], "kind": "sgd", "lr": 0.1, "momentum": 0.8}])
    other = torch.optim.SGD([theirs], lr=0.1, momentum=0.8, nesterov=True)
    for seed in range(5):
        ours.grad = random_matrix(1, 5, seed)[0]
        theirs.grad = ours.grad.clone()
        mine.step()
        other.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["muon", "sgd"])
def test_weight_decay_shrinks_apart_from_the_gradient(kind):
    start = random_matrix(4, 4)
    moved = []
    for decay in (0.0, 0.5):
        weight = nn.Parameter(start.clone())
        weight.grad = random_matrix(4, 4, 1)
        Muon([weight], lr=0.1, weight_decay=decay, kind=kind).step()
        moved.append(weight.detach())
    torch.testing.assert_close(moved[0] - moved[1], 0.1 * 0.5 * start)


def test_a_limit_bounds_what_one_step_changes():
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([1e9, -1e-3, -1e9])
    optimizer = Muon([weight], lr=2.0, momentum=0.5, kind="sgd", limit=0.1)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.1, 2.0 * 1.5e-3, 0.1]))
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert weight.detach()[0] == pytest.approx(-0.1)


@pytest.mark.parametrize(("shape", "rank"), [((8, 3, 3, 3), 8), ((64, 2, 2, 2), 8)])
def test_normalised_filters_get_the_norm_of_an_orthogonal_matrix(shape, rank):
    weight = nn.Parameter(torch.randn(shape) * 50)
    weight.grad = torch.zeros(shape)
    Muon([weight], normalize=True).step()
    assert weight.detach().norm() == pytest.approx(rank**0.5, rel=1e-4)


def small_problem():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 2))
    images = torch.randn(64, 3, 8, 8)
    return network, images, (images.mean((1, 2, 3)) > 0).long()


def groups_of(network):
    filters = [weight for weight in network.parameters() if weight.ndim > 2]
    others = [weight for weight in network.parameters() if weight.ndim <= 2]
    return [{"params": filters}, {"params": others, "kind": "sgd", "lr": 0.01, "momentum": 0.9}]


def train(network, optimizer, images, labels, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_mixed_groups_solve_a_small_problem():
    network, images, labels = small_problem()
    assert train(network, Muon(groups_of(network), lr=0.05), images, labels, 40) < 0.1


def test_its_state_resumes_exactly():
    network, images, labels = small_problem()
    optimizer = Muon(groups_of(network), lr=0.05)
    train(network, optimizer, images, labels, 3)
    again = copy.deepcopy(network)
    resumed = Muon(groups_of(again), lr=1.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(network, optimizer, images, labels, 3)
    train(again, resumed, images, labels, 3)
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_channels_last_changes_nothing():
    weights = [
        nn.Parameter(torch.ones(4, 3, 3, 3).contiguous(memory_format=f))
        for f in (torch.contiguous_format, torch.channels_last)
    ]
    gradient = torch.randn(4, 3, 3, 3)
    for weight in weights:
        weight.grad = gradient.contiguous(memory_format=torch.channels_last)
        Muon([weight], normalize=True).step()
    torch.testing.assert_close(weights[0], weights[1])


def test_a_closure_is_called_with_gradients():
    weight = nn.Parameter(torch.ones(2, 2))

    def closure():
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert Muon([weight]).step(closure).detach() == 4


def test_wrong_groups_are_refused():
    with pytest.raises(ValueError, match="kind"):
        Muon([torch.zeros(2, 2)], kind="adam")
    with pytest.raises(ValueError, match="biases"):
        Muon([torch.zeros(2)])
