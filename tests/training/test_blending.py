"""Networks between a fitted head and a fine-tuned network: the line between them, and which of them is kept."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import t, ttest_rel
from torch.nn import functional as F

from sightline.events import Blended, EpochEnded, TrainingStopped
from sightline.networks.build import build_network
from sightline.steps import result_of
from sightline.training.blending import (
    LOOKED_AT,
    SHARES,
    Blend,
    blend,
    choose_share,
    count_validations,
    is_surely_better,
    measure_fit,
)
from sightline.training.checkpoint import load_checkpoint
from sightline.training.loop import train_network
from sightline.training.measure import measure, predict_logits

PRETRAINED = {"pretrained": True, "head_first": True, "learning_rate": 1e-3, "patience": 0}


@pytest.fixture
def ends(plan_settings):
    """Return (settings, two networks of one shape)."""
    settings = plan_settings()
    start = build_network(settings, 2, None)
    end = copy.deepcopy(start)
    with torch.no_grad():
        for weight in end.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return settings, start, end


def test_a_blend_lies_on_the_straight_line_and_keeps_counters(ends):
    _, start, end = ends
    end.body.get_buffer(next(name for name, _ in end.body.named_buffers() if "batches" in name)).fill_(7)
    first, last = start.state_dict(), end.state_dict()
    for share in (0.0, 0.25, 1.0):
        for name, value in blend(first, last, share).items():
            if value.is_floating_point():
                torch.testing.assert_close(value, first[name] + share * (last[name] - first[name]))
            else:
                assert value.equal(last[name])


def test_the_share_with_the_lowest_loss_at_its_best_temperature_is_kept(ends, make_batches):
    """Seen from a start that is worse than all others: each of them is surely better then."""
    _, end, start = ends
    with torch.no_grad():
        start.head.weight.mul_(-1)
        start.head.bias.mul_(-1)
    val = make_batches(60)
    before = {name: value.clone() for name, value in end.state_dict().items()}
    found, weights = result_of(choose_share(end, start.state_dict(), val, 64))
    costs = {}
    for share in SHARES:
        candidate = copy.deepcopy(end)
        candidate.load_state_dict(blend(start.state_dict(), end.state_dict(), share))
        costs[share] = measure_fit(candidate, val, 64)
    surely = [share for share in SHARES if share and is_surely_better(costs[share].losses, costs[0.0].losses)]
    losses = {share: costs[share].loss for share in (0.0, *surely)}
    assert found.loss == min(losses.values()) == losses[found.share]
    assert all(value.equal(before[name]) for name, value in end.state_dict().items())
    end.load_state_dict(weights)
    loss, accuracy, _ = measure(end, val)
    assert (found.val_loss, found.val_accuracy) == pytest.approx((loss, accuracy), rel=1e-5)


def made_blend(share: float, losses: list[float], misses: list[float] | None = None) -> Blend:
    """Return what is measured of a network with these losses and misses on validation images."""
    costs = np.array(losses)
    wrong = (costs > 0.69).astype(float) if misses is None else np.array(misses)
    return Blend(share, costs.mean(), costs.mean(), 1 - wrong.mean(), costs, wrong)


@pytest.mark.parametrize(("times", "kept"), [(1, 0.0), (20, 1.0)])
def test_on_few_images_the_fitted_head_stays_and_on_many_the_better_one_wins(
    ends, make_batches, monkeypatch, times, kept
):
    _, start, end = ends
    head = [0.1, 0.9, 0.5, 0.8, 0.2, 0.7]
    tuned = [0.4, 0.2, 0.6, 0.3, 0.4, 0.5]  # 0.13 nats better on average, and worse on half of the images
    made = {share: made_blend(share, (tuned if share == 1 else head) * times) for share in SHARES}
    monkeypatch.setattr("sightline.training.blending.measure_fit", lambda n, v, k, share: made[share])
    assert result_of(choose_share(end, start.state_dict(), make_batches(8), 8))[0].share == kept


def test_an_earlier_epoch_wins_only_where_it_is_surely_better_than_the_head(ends, make_batches, monkeypatch):
    _, start, end = ends
    for earlier, is_kept in (([0.2] * 20, True), ([0.49] * 19 + [0.6], False)):
        made = {share: made_blend(share, [0.5, 0.4, 0.6, 0.5] * 5) for share in SHARES}
        answers = iter([*made.values(), made_blend(1.0, earlier)])
        monkeypatch.setattr("sightline.training.blending.measure_fit", lambda *_, answers=answers: next(answers))
        found = result_of(
            choose_share(end, start.state_dict(), make_batches(8), 8, earlier=copy.deepcopy(end).state_dict())
        )
        assert (found[1] is None) is is_kept
        assert found[0].share == (1.0 if is_kept else 0.0)


def test_surely_better_is_a_paired_test(ends):
    random = np.random.default_rng(0)
    for gain in np.linspace(-0.1, 0.3, 30):
        one, other = random.normal(0, 1, 40), random.normal(gain, 1, 40)
        p = ttest_rel(other, one, alternative="greater").pvalue
        assert is_surely_better(one, other) is bool(p < 0.1)
    null = [is_surely_better(random.normal(0, 1, 25), random.normal(0, 1, 25)) for _ in range(2_000)]
    assert 0.07 < np.mean(null) < 0.13
    assert not is_surely_better(np.zeros(30), np.zeros(30))
    assert not is_surely_better(np.zeros(1), np.ones(1))


def test_images_of_one_unit_are_one_witness():
    """statsmodels is the oracle; a null of repeated images is called better as rarely as it may be."""
    import statsmodels.api as sm

    random = np.random.default_rng(0)
    for gain in np.linspace(-0.1, 0.4, 20):
        units = random.integers(0, 12, 60)
        gains = gain + random.normal(0, 0.4, 12)[units] + random.normal(0, 0.1, 60)
        count = len(np.unique(units))
        fit = sm.OLS(gains, np.ones(60)).fit(
            cov_type="cluster", cov_kwds={"groups": units, "use_correction": False}, use_t=True
        )
        error = fit.bse[0] * np.sqrt(count / (count - 1))
        p = 1 - t.cdf(gains.mean() / error, count - 1)
        assert is_surely_better(np.zeros(60), gains, units) is bool(p < 0.1)
    null = [np.repeat(random.normal(0, 1, 20), 6) for _ in range(2_000)]
    assert 0.07 < np.mean([is_surely_better(np.zeros(120), one, np.repeat(np.arange(20), 6)) for one in null]) < 0.13
    assert not is_surely_better(np.zeros(6), np.ones(6), np.zeros(6, np.int64))


def test_units_of_validation_images_reach_the_choice(ends, make_batches):
    _, start, _ = ends
    val = replace(make_batches(60), units=np.arange(60) // 3)
    assert measure_fit(start, val, 64).units.tolist() == (np.arange(60) // 3).tolist()


def test_a_network_that_is_right_but_too_sure_is_not_worse_for_it(ends, make_batches):
    _, start, _ = ends
    val = make_batches(400)
    sure = copy.deepcopy(start)
    with torch.no_grad():
        sure.head.weight.mul_(4)
        sure.head.bias.mul_(4)
    one, other = measure_fit(start, val, 64), measure_fit(sure, val, 64)
    logits, labels = torch.from_numpy(predict_logits(sure, val)), torch.from_numpy(val.labels)
    best = minimize_scalar(lambda t: float(F.cross_entropy(logits / t, labels)), bounds=(0.25, 16), method="bounded")
    assert other.loss == pytest.approx(one.loss, rel=0.02)
    assert other.loss == pytest.approx(best.fun, rel=0.02)
    assert other.val_accuracy == one.val_accuracy


def test_whoever_selects_by_accuracy_gets_the_share_that_is_most_often_right(ends, make_batches, monkeypatch):
    _, start, end = ends
    measured = {0.0: (0.5, 40), 0.5: (0.3, 30), 1.0: (0.4, 10)}  # loss, wrong ones of a hundred
    made = {
        share: made_blend(share, [loss - 0.01, loss + 0.01] * 50, [1.0] * wrong + [0.0] * (100 - wrong))
        for share, (loss, wrong) in measured.items()
    }
    monkeypatch.setattr("sightline.training.blending.measure_fit", lambda n, v, k, share: made[share])
    found = [
        result_of(choose_share(end, start.state_dict(), make_batches(8), 8, metric))[0].share
        for metric in ("loss", "accuracy")
    ]
    assert found == [0.5, 1.0]


def test_at_most_so_many_validation_images_are_looked_at(ends, make_batches, monkeypatch):
    _, start, _ = ends
    asked = []
    real = predict_logits
    monkeypatch.setattr(
        "sightline.training.blending.predict_logits", lambda n, some, k: asked.append(len(some)) or real(n, some, k)
    )
    measure_fit(start, make_batches(LOOKED_AT + 20), 64)
    assert asked == [LOOKED_AT]
    assert count_validations(LOOKED_AT + 20) < count_validations(10) == len(SHARES) + 1


def test_fine_tuning_that_harms_leaves_the_fitted_head(plan_settings, make_batches, tmp_path):
    settings = plan_settings(**{**PRETRAINED, "learning_rate": 3.0, "optimizer": "sgd", "blend": True, "epochs": 2})
    network = build_network(settings, 2, None)
    train, val = make_batches(64), make_batches(32, seed=1)
    events = list(train_network(network, train, val, settings, tmp_path))
    start = next(event for event in events if isinstance(event, EpochEnded))
    stopped = events[-1]
    assert isinstance(stopped, TrainingStopped)
    assert measure(network, val)[1] >= start.val_accuracy - 1e-9
    kept = next(event for event in events if isinstance(event, Blended))
    assert stopped.best_epoch == (kept.epoch if kept.share else 0)
    assert stopped.share == kept.share
    assert load_checkpoint(tmp_path / "best")[1]["epoch"] == stopped.best_epoch


def test_without_blending_the_best_epoch_is_kept(plan_settings, make_batches, tmp_path):
    settings = plan_settings(**{**PRETRAINED, "blend": False})
    network = build_network(settings, 2, None)
    events = list(train_network(network, make_batches(64), make_batches(32, seed=1), settings, tmp_path))
    assert not any(isinstance(event, Blended) for event in events)


def test_only_thawed_groups_change_and_only_their_norms_learn(plan_settings, make_batches, tmp_path):
    settings = plan_settings(**{**PRETRAINED, "thaw": 2, "blend": False, "epochs": 1})
    network = build_network(settings, 2, None)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    last = [name for name, _ in train_names(network, 2)]
    list(train_network(network, make_batches(64), make_batches(32, seed=1), settings, tmp_path))
    network.load_state_dict(load_checkpoint(tmp_path / "last")[0]["model"])
    changed = {name for name, value in network.state_dict().items() if not value.equal(before[name])}
    learned = {name for name in changed if name in dict(network.named_parameters())}
    assert learned <= set(last)
    assert learned & {name for name in last if not name.startswith("head")}
    frozen = [name for name in changed - learned if not any(name.startswith(prefix_of(one)) for one in last)]
    assert not frozen, "running statistics of frozen layers stay"


def train_names(network, groups):
    """Return (name, weight) of the last groups of layers."""
    from sightline.training.layer_groups import layer_groups

    names = {name for group in layer_groups(network, coarse=True)[-groups:] for name in group}
    return [(name, weight) for name, weight in network.named_parameters() if name in names]


def prefix_of(name: str) -> str:
    """Return the module that a weight belongs to."""
    return name.rpartition(".")[0]


def test_a_blend_is_found_again_after_a_stop(plan_settings, make_batches, tmp_path):
    settings = plan_settings(**{**PRETRAINED, "blend": True, "epochs": 2})
    train, val = make_batches(64), make_batches(32, seed=1)
    whole, again = (build_network(settings, 2, None) for _ in range(2))
    events = list(train_network(whole, train, val, settings, tmp_path))
    resumed = list(train_network(again, train, val, settings, tmp_path, resume=True))
    first, second = (next(e for e in found if isinstance(e, Blended)) for found in (events, resumed))
    assert (first.share, first.epoch, first.val_loss) == (second.share, second.epoch, second.val_loss)
    assert all(
        np.array_equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True)
    )
