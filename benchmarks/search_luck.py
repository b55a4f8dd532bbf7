"""How well the luck of a search's winner is told from its merit, and how often its test is wrong.

    python benchmarks/search_luck.py [--searches 150] [--trials 5 100] [--nulls 1000] [--ways]

Trials are simulated that are right on an image where a normal number, a part common to all trials (how difficult the
image is) and a part of the trial's own, lies below the trial's threshold; two of them agree on 85, 90 or 95 % of the
images, in turn. The plain recipe is the first trial, and one of them. "in the interval" counts searches that another
trial won; "better" counts all: with equal trials it is a false alarm.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from sightline.evaluation.intervals import draw_blocks
from sightline.evaluation.paired import mid_p
from sightline.evaluation.search_luck import judge_lead

ACCURACY, AGREEMENTS = 0.85, (0.85, 0.90, 0.95)
TRUTHS = ("equal", "sd 0.5", "sd 1", "sd 2", "one +3")  # points of accuracy
WAYS = (
    "judge_lead",
    "as wide, about the expected lead",
    "percentiles of the leads left out",
    "percentiles of the winner's bootstrap less luck",
    "all trials at once",
)


def common_part(agreement: float) -> float:
    """Return the share of the variance that is common to trials which agree so often."""
    at = norm.ppf(ACCURACY)

    def off(share: float) -> float:
        both = multivariate_normal.cdf([at, at], cov=[[1, share], [share, 1]])
        return 1 - 2 * (ACCURACY - both) - agreement

    return float(brentq(off, 0, 0.9999))


def draw_accuracies(random: np.random.Generator, truth: str, trials: int) -> np.ndarray:
    """Return ``[T]`` true accuracies."""
    accuracies = np.full(trials, ACCURACY)
    if truth.startswith("sd"):
        accuracies += float(truth[3:]) / 100 * random.standard_normal(trials)
    elif truth == "one +3":
        accuracies[random.integers(1, trials)] += 0.03
    return accuracies


def draw_scores(
    random: np.random.Generator, accuracies: np.ndarray, images: int, common: float, units: np.ndarray | None = None
) -> np.ndarray:
    """Return ``[T, V] bool``: who is right on what; images of a unit share half of each part."""
    trials = len(accuracies)
    shared, own = random.standard_normal(images), random.standard_normal((trials, images))
    if units is not None:
        count = int(units.max()) + 1
        half = np.sqrt(0.5)
        shared = half * (shared + random.standard_normal(count)[units])
        own = half * (own + random.standard_normal((trials, count))[:, units])
    return np.sqrt(common) * shared + np.sqrt(1 - common) * own < norm.ppf(accuracies)[:, None]


def final_rows(nulls: int, common: list[float]) -> None:
    """Print how often the winner of equal trials is called better, or worse, than plain on test images."""
    print("| trials | test images | searches | better | worse |\n|" + " --- |" * 5)
    for trials in (5, 20, 100):
        random = np.random.default_rng(trials)
        said = {n: np.zeros(2, int) for n in (150, 400, 2_000)}
        for number in range(nulls):
            part, accuracies = common[number % len(common)], np.full(trials, ACCURACY)
            winner = int(draw_scores(random, accuracies, 200, part).sum(1).argmax())
            for n, counts in said.items():
                if winner:
                    plain, best = draw_scores(random, accuracies[:2], n, part).astype(np.int64)
                    gain = best - plain
                    if mid_p(gain) < 0.05:
                        counts[int(gain.sum() < 0)] += 1
        for n, counts in said.items():
            better, worse = counts / nulls
            print(f"| {trials} | {n:,} | {nulls:,} | {better:.1%} | {worse:.1%} |", flush=True)


def lead_rows(searches: int, common: list[float], several: list[int], units_of: int) -> dict[float, list[int]]:
    """Print a row a setting; return agreement -> searches won by another trial, and those within the interval."""
    head = ("true accuracies", "images", "trials", "lead less truth", "expected less truth")
    head += ("in the interval", "below", "above", "better", "truly better")
    print(f"\n| {' | '.join(head)} |\n|" + " --- |" * len(head))
    held: dict[float, list[int]] = {agreement: [0, 0] for agreement in AGREEMENTS}
    for images in (50, 200, 1_000):
        units = None if units_of == 1 else np.arange(images) // units_of
        for truth in TRUTHS:
            for trials in several:
                random = np.random.default_rng([images, trials, TRUTHS.index(truth)])
                off, counts = [], np.zeros(5, int)  # below, above, better, truly better, won
                for number in range(searches):
                    accuracies = draw_accuracies(random, truth, trials)
                    scores = draw_scores(random, accuracies, images, common[number % len(common)], units)
                    lead = judge_lead(scores, units=units, seed=number)
                    winner = int(scores.sum(1).argmax())
                    if not winner:
                        continue
                    true = accuracies[winner] - accuracies[0]
                    off.append((lead.observed - true, lead.expected - true))
                    below, above = true < lead.low - 1e-12, true > lead.high + 1e-12
                    counts += (below, above, lead.is_better, true > 0, 1)
                    one = held[AGREEMENTS[number % len(common)]]
                    one[0] += 1
                    one[1] += not (below or above)
                observed, expected = 100 * np.mean(off, 0)
                below, above, better, truly, won = counts
                cells = f"{truth} | {images:,} | {trials} | {observed:+.2f} | {expected:+.2f}"
                shares = f"{1 - (below + above) / won:.1%} | {below / won:.1%} | {above / won:.1%}"
                print(f"| {cells} | {shares} | {better / searches:.1%} | {truly / searches:.1%} |", flush=True)
    return held


def way_rows(searches: int, common: list[float]) -> None:
    """Print how often intervals that are made in other ways hold the winner's true lead, least and most often."""
    found: dict[str, list[float]] = defaultdict(list)
    for images in (50, 200, 1_000):
        weights = np.concatenate(list(draw_blocks(np.zeros(images, np.int64), rounds=400)))
        for truth in TRUTHS:
            for trials in (5, 20, 100):
                random, within, won = np.random.default_rng([images, trials]), np.zeros(len(WAYS)), 0
                for number in range(searches):
                    accuracies = draw_accuracies(random, truth, trials)
                    scores = draw_scores(random, accuracies, images, common[number % len(common)])
                    winner = int(scores.sum(1).argmax())
                    if winner:
                        won += 1
                        true = accuracies[winner] - accuracies[0]
                        ends = other_ways(scores, winner, weights)
                        within += [low - 1e-12 <= true <= high + 1e-12 for low, high in ends]
                for name, share in zip(WAYS, within / won, strict=True):
                    found[name].append(share)
    print("\n| interval | least | mean | most |\n|" + " --- |" * 4)
    for name, shares in found.items():
        print(f"| {name} | {min(shares):.1%} | {np.mean(shares):.1%} | {max(shares):.1%} |")


def other_ways(scores: np.ndarray, winner: int, weights: np.ndarray) -> list[tuple[float, float]]:
    """Return the ends of the interval in each of ``WAYS``."""
    gains = scores.astype(np.float64) - scores[0]
    means, outside = weights @ gains.T / gains.shape[1], weights == 0
    left_out = (outside * gains[means.argmax(1)]).sum(1) / outside.sum(1)
    lead, observed = judge_lead(scores), gains.mean(1)
    own = np.quantile(means[:, winner], (0.025, 0.975)) - lead.luck
    least = observed[winner] - np.quantile((means - observed).max(1), 0.975)
    percentiles = tuple(np.quantile(left_out, (0.025, 0.975)))
    around = (lead.low, lead.high - lead.luck)
    return [(lead.low, lead.high), around, percentiles, tuple(own), (least, lead.high)]


def cost_rows() -> None:
    """Print the seconds of one judgement."""
    print("\n| trials | images | processor seconds |\n|" + " --- |" * 3)
    for trials, images in ((20, 200), (100, 1_000), (100, 20_000)):
        scores = np.random.default_rng(0).random((trials, images)) < ACCURACY
        judge_lead(scores)
        start = time.process_time()
        judge_lead(scores)
        print(f"| {trials} | {images:,} | {time.process_time() - start:.3f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=150)
    parser.add_argument("--trials", type=int, nargs="+", default=[5, 10, 20, 50, 100])
    parser.add_argument("--nulls", type=int, default=1_000)
    parser.add_argument("--units-of", type=int, default=1, help="images of a unit")
    parser.add_argument("--ways", action="store_true", help="compare ways to make the interval, and nothing else")
    options = parser.parse_args()
    parts = [common_part(agreement) for agreement in AGREEMENTS]
    if options.ways:
        way_rows(options.searches, parts)
    else:
        cost_rows()
        final_rows(options.nulls, parts)
        held_of = lead_rows(options.searches, parts, options.trials, options.units_of)
        for agreement, (won, within) in held_of.items():
            print(f"agreement {agreement:.0%}: {within / won:.1%} of {won:,} in the interval")
