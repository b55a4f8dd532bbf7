"""What a time limit chooses: never more than fits, and the more time the more of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.planning.budget import Costs, Widths, fit_to_time
from sightline.planning.facts import DataFacts, Hardware, NetworkFacts
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import make_settings, parse_time

SIZES = (224, 192, 160, 128, 96)
CPU = Hardware("cpu", "x", 2, "x")
PHOTO = NetworkFacts("mobilenetv2_100.ra_in1k", "timm", 224, 256, "bicubic", (0.5,) * 3, (0.2,) * 3, True, "apache-2.0")
SMALL = NetworkFacts("small-fast", "small", 32, 32, "bilinear", (0.5,) * 3, (0.2,) * 3, False, "")


def plan(network: NetworkFacts, count: int, timed=None, **options: object):
    side = 32 if network is SMALL else 300
    data = DataFacts(("ant", "bee"), {"train": count, "val": count // 8, "test": count // 8}, side, 1.0)
    return make_plan(Recipe(), Recipe(**options), data, CPU, network, None, timed)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("60s", 60),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5m", 90),
        (" 10 m", 600),
        ("10min", 600),
    ],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["ten minutes", "10x", "m", "", "10m!", "-5m"])
def test_what_is_no_time_is_refused_with_the_rule(text):
    settings = plan(SMALL, 1000).settings.model_dump()
    with pytest.raises(InputError, match="time"):
        make_settings({**settings, "time": text})


@given(st.floats(20, 7200), st.floats(0.001, 2), st.floats(0.0005, 0.1), st.integers(200, 50_000))
def test_the_head_and_the_epochs_of_a_pretrained_network_fit(left, step, look, count):
    settings = plan(PHOTO, count).settings
    costs = Costs(step, look, look, 0.01 * count / 100, SIZES)
    counts = {"train": count, "val": count // 8}
    try:
        chosen = fit_to_time(settings, costs, counts, left)
    except InputError as error:
        smallest = costs.scaled((96 / 224) ** 2)
        assert (count + count // 8) * smallest.feature + costs.fit > left
        assert "--time" in error.cure
        return
    side, epochs = chosen["size"][0], chosen["epochs"][0]
    here = costs.scaled((side / 224) ** 2)
    head = (count + count // 8) * here.feature + costs.fit
    assert head <= left
    heads = {side: (count + count // 8) * costs.scaled((side / 224) ** 2).feature + costs.fit for side in SIZES}
    assert side == max((side for side in SIZES if heads[side] <= 0.8 * left), default=96)
    each = here.epoch(settings, count, count // 8)
    if epochs:  # not what is expected to fit, as the training ends with the time
        assert head + each / 2 <= left and epochs == 10
    else:
        assert head + each / 2 > left


def test_more_time_is_never_used_for_a_smaller_input_without_more_epochs():
    settings, counts = plan(PHOTO, 3000).settings, {"train": 3000, "val": 400}
    costs, before = Costs(1.2, 0.01, 0.006, 1.0, SIZES), (0, 0)
    for left in (20, 40, 80, 160, 320, 640, 1280):
        chosen = fit_to_time(settings, costs, counts, left)
        now = chosen["size"][0], chosen["epochs"][0]
        assert now[0] >= before[0] or now[1] > before[1]
        before = now
    assert before == (224, 10)


def test_a_wider_network_is_chosen_where_enough_epochs_of_it_fit():
    settings, counts = plan(SMALL, 42_500).settings, {"train": 42_500, "val": 5_000}
    costs = Costs(0.45, 0.0003, 0.0003)
    widths = [fit_to_time(settings, costs, counts, left)["width"][0] for left in (30, 120, 300, 900, 3000, 20_000)]
    assert widths == sorted(widths) and widths[0] == 32 and widths[-1] == 192


def test_what_a_person_chose_stays_and_the_time_decides_the_rest():
    timed = {"width": (96, "fits"), "epochs": (7, "fits")}
    made = plan(SMALL, 5_000, timed, width=24)
    origins = {decision.name: (decision.origin, decision.reason) for decision in made.decisions}
    assert made.settings.width == 24 and origins["width"] == ("option", "chosen by you")
    assert made.settings.epochs == 7 and origins["epochs"] == ("time", "fits")


def test_what_follows_from_the_width_follows_from_the_one_the_time_chose():
    usual, wide = plan(SMALL, 5_000), plan(SMALL, 5_000, {"width": (128, "fits")})
    assert wide.settings.head_rate == pytest.approx(usual.settings.head_rate * usual.settings.width / 128, rel=1e-3)


def test_a_chosen_width_gets_the_epochs_that_fit_it():
    settings, counts = plan(SMALL, 42_500, width=32).settings, {"train": 42_500, "val": 5_000}
    costs = Costs(0.2, 0.0002, 0.0002)
    chosen = fit_to_time(settings, costs, counts, 560, {"width"})
    assert set(chosen) == {"epochs"}
    assert chosen["epochs"][0] * costs.epoch(settings, 42_500, 5_000) >= 560


def test_a_network_that_takes_one_size_alone_keeps_it():
    settings, counts = plan(PHOTO, 3000).settings, {"train": 3000, "val": 400}
    chosen = fit_to_time(settings, Costs(1.2, 0.01, 0.006, 1.0, (224,)), counts, 60)
    assert chosen["size"][0] == 224


def test_a_chosen_size_and_chosen_epochs_stay():
    settings, counts = plan(PHOTO, 3000, size=160, epochs=2).settings, {"train": 3000, "val": 400}
    chosen = fit_to_time(settings, Costs(1.2, 0.01, 0.006, 1.0, (160, 128)), counts, 100, {"size", "epochs"})
    assert chosen["size"][0] == 160


@pytest.mark.parametrize(("network", "most"), [(PHOTO, 10), (SMALL, 160)])
@pytest.mark.parametrize("slower", [1, 30])
def test_planned_epochs_bind_no_machine_that_turns_out_faster(network, most, slower):
    settings, counts = plan(network, 3000).settings, {"train": 3000, "val": 400}
    chosen = fit_to_time(settings, Costs(0.1 * slower, 1e-4, 1e-4, 1.0, SIZES), counts, 200)
    assert chosen["epochs"][0] == most


def test_a_staircase_falls_at_thirds_of_what_fits():
    settings, counts = plan(PHOTO, 3000, schedule="step").settings, {"train": 3000, "val": 400}
    each = Costs(0.1, 0.0, 0.0, 0.0, (224,))
    chosen = fit_to_time(settings, each, counts, 6 * each.epoch(settings, 3000, 400))
    assert chosen["decay_every"][0] == 2


@pytest.mark.parametrize(("schedule", "patience"), [("cosine", 0), ("linear", 0), ("one-cycle", 0), ("constant", 3)])
def test_patience_ends_no_schedule_that_falls_to_zero_at_the_limit(schedule, patience):
    assert plan(PHOTO, 3000, time=600, schedule=schedule).settings.patience == patience
    assert plan(PHOTO, 3000, schedule=schedule).settings.patience == 3
    assert plan(PHOTO, 3000, time=600, schedule=schedule, patience=2).settings.patience == 2


def widths(width: int, left: float = 1.0, **chosen: object) -> Widths:
    settings = plan(SMALL, 42_500, {"width": (width, "fits"), "epochs": (160, "most")}, **chosen).settings
    return Widths(settings, Costs(0.1, 1e-4, 1e-4), 42_500, 5_000)


@pytest.mark.parametrize("factor", [0.1, 0.3, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("width", [32, 64, 192])
def test_it_starts_over_at_the_width_that_a_plan_of_the_real_costs_has(width, factor):
    made, counts = widths(width), {"train": 42_500, "val": 5_000}
    usual = made.settings.model_copy(update={"epochs": 8})
    planned = fit_to_time(usual, made.costs.scaled(factor), counts, 400)["width"][0]
    assert (made.better(factor, 400, 0) or width) == planned


@given(st.floats(0.1, 10), st.floats(10, 5000), st.floats(0, 1))
def test_the_more_is_lost_the_less_starting_over_pays(factor, left, share):
    made = widths(64)
    lost, none = made.better(factor, left, share * left), made.better(factor, left, 0)
    assert lost in (0, none) or (64 < lost < none) or (none <= lost < 64)


def test_another_width_brings_what_follows_from_it():
    usual, wide = plan(SMALL, 5_000), plan(SMALL, 5_000, {"width": (128, "fits")})
    again = usual.with_width(128, "fits")
    assert again.settings == wide.settings and again.rows() == wide.rows()
    chosen = plan(SMALL, 5_000, head_rate=0.5).with_width(128, "fits")
    assert chosen.settings.head_rate == 0.5
