"""Who decides a setting, in which order, and that each decision says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError, WeightsError
from sightline.planning.augmentation import changes_to_probe, harmful_choices
from sightline.planning.carried_network import CARRIED
from sightline.planning.decisions import Decision
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts, Survival
from sightline.planning.own_networks import SMALL_NETWORK
from sightline.planning.plan import Plan, choose_model, make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings, make_settings, parse_assignment

CPU = Hardware("cpu", "a processor", 2, "no GPU on this machine")
GPU = Hardware("cuda:0", "a card", 8, "an NVIDIA GPU is available")
SMALL = NetworkFacts(SMALL_NETWORK, "small", 32, 32, "bilinear", (0.5,) * 3, (0.25,) * 3, False, "none")
LARGE = NetworkFacts("net.tag", "timm", 224, 256, "bicubic", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), True, "apache-2.0")


def facts(
    side: int = 32, train: int = 1000, classes: tuple[str, ...] = ("ant", "bee"), aspect: float = 1.5
) -> DataFacts:
    return DataFacts(classes, {"train": train, "val": 100, "test": 100}, side, aspect)


def decide(recipe=None, options=None, data=None, hardware=CPU, network=SMALL) -> Plan:
    return make_plan(recipe or Recipe(), options or Recipe(), data or facts(), hardware, network)


def decision(plan: Plan, name: str):
    return next(d for d in plan.decisions if d.name == name)


def test_options_beat_the_recipe_which_beats_what_the_plan_suggests():
    plan = decide(Recipe(epochs=5, flip=0.25), Recipe(epochs=7))
    assert (plan.settings.epochs, decision(plan, "epochs").origin) == (7, "option")
    assert (plan.settings.flip, decision(plan, "flip").origin) == (0.25, "recipe")
    assert decision(plan, "batch_size").origin == "data"


@pytest.mark.parametrize("network", [SMALL, LARGE])
@pytest.mark.parametrize("hardware", [CPU, GPU])
def test_every_setting_is_decided_once_with_a_reason(network, hardware):
    plan = decide(network=network, hardware=hardware)
    assert [d.name for d in plan.decisions] == list(Settings.model_fields)
    assert all(d.reason and d.origin for d in plan.decisions)


def test_small_images_get_our_own_network_and_large_ones_a_pretrained_one_by_device():
    nothing = Recipe()
    assert choose_model(nothing, nothing, facts(64), CPU).value == SMALL_NETWORK
    carried = choose_model(nothing, nothing, facts(65), CPU)
    assert carried.value == CARRIED.name and "no download" in carried.reason
    assert choose_model(nothing, nothing, facts(65), GPU).value.startswith("convnext_tiny")
    assert choose_model(nothing, Recipe(model="resnet18"), facts(64), CPU).value == "resnet18"


def test_the_carried_network_stands_in_for_a_default_that_cannot_be_had_with_the_reason():
    plan = decide(network=CARRIED, hardware=GPU, data=facts(300))
    (model,) = (decision for decision in plan.decisions if decision.name == "model")
    assert (plan.settings.model, model.origin) == (CARRIED.name, "hardware")
    assert "convnext_tiny.in12k_ft_in1k" in model.reason and "come with Sightline" in model.reason
    assert plan.settings.pretrained and plan.settings.mean == CARRIED.mean


@pytest.mark.parametrize(("side", "size"), [(8, 16), (28, 32), (32, 32), (33, 40), (64, 64)])
def test_the_small_network_takes_images_at_about_their_own_size(side, size):
    assert decide(data=facts(side)).settings.size == size


def test_a_pretrained_network_is_used_as_its_authors_did():
    settings = decide(options=Recipe(fit="crop"), network=LARGE, data=facts(300)).settings
    assert (settings.size, settings.resize, settings.interpolation) == (224, 256, "bicubic")
    assert (settings.mean, settings.std) == (LARGE.mean, LARGE.std)
    assert settings.pretrained and settings.head_first


def test_another_size_keeps_the_share_that_the_crop_leaves():
    settings = decide(options=Recipe(size=112, fit="crop"), network=LARGE, data=facts(300)).settings
    assert (settings.size, settings.resize) == (112, 128)


def test_training_from_scratch_fits_no_head_on_random_features():
    settings = decide(options=Recipe(pretrained=False), network=LARGE, data=facts(300)).settings
    assert not settings.head_first and not settings.freeze_norm


@pytest.mark.parametrize("names", [("0", "1"), ("left", "up"), ("turn_RIGHT", "stop"), ("a", "bee")])
def test_images_that_a_mirror_would_change_are_not_mirrored(names):
    plan = decide(data=facts(classes=names))
    assert plan.settings.flip == 0
    assert decision(plan, "flip").origin == "data"


@pytest.mark.parametrize("network", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("aspect", "fit"), [(1, "crop"), (1.18, "crop"), (1.33, "squash"), (2, "squash"), (2.5, "pad")]
)
def test_the_fit_follows_the_aspect_ratios_with_a_reason(network, aspect, fit):
    plan = decide(network=network, data=facts(300, aspect=aspect))
    assert plan.settings.fit == fit
    words = "square" if aspect == 1 else f"{aspect:g} times"
    assert words in decision(plan, "fit").reason


@given(st.floats(1, 1.18), st.booleans())
def test_a_crop_that_is_chosen_leaves_out_at_most_15_percent(aspect, is_upright):
    preprocess = decide(network=LARGE, data=facts(300, aspect=aspect)).preprocess
    sides = (300, round(300 * aspect))
    assert preprocess.kept_area(*(sides if is_upright else sides[::-1])) >= 0.845


def test_batch_norms_keep_their_statistics_after_a_fitted_head_and_under_a_thousand_images():
    assert decide(network=LARGE, data=facts(300, train=100_000)).settings.freeze_norm
    for count, is_frozen in ((999, True), (1000, False)):
        plan = decide(Recipe(head_first=False), network=LARGE, data=facts(300, train=count))
        assert plan.settings.freeze_norm is is_frozen


def test_a_device_that_had_to_be_left_is_not_claimed():
    broken = Hardware("cpu", "a processor", 2, "CUDA does not work, so the CPU is used", warning="driver too old")
    plan = decide(options=Recipe(device="cuda"), hardware=broken)
    assert plan.settings.device == "cpu"
    assert "CUDA does not work" in decision(plan, "device").reason


def test_a_plan_survives_its_file():
    plan = decide(Recipe(epochs=3), Recipe(weights="a 'quoted' file.safetensors"), network=LARGE)
    again = Plan.from_toml(plan.to_toml())
    assert again.settings == plan.settings
    assert again.rows() == plan.rows()


def test_a_damaged_plan_is_named():
    with pytest.raises(ValueError, match="Invalid value"):
        Plan.from_toml("epochs = [")
    text = decide().to_toml()
    with pytest.raises(ValueError, match="momentun"):  # of a version that has other settings
        Plan.from_toml(text.replace("[momentum]", "[momentun]"))
    with pytest.raises(ValueError, match=r"recursion|nested|TOML"):
        Plan.from_toml("epochs = " + "[" * 100_000)


def test_an_unknown_setting_is_answered_with_the_nearest_right_one():
    with pytest.raises(InputError) as caught:
        Recipe(epoch=3)
    assert "'epoch'" in caught.value.message and "'epochs'" in caught.value.cure


WRONG = {
    "epochs": -1,
    "batch_size": 0,
    "learning_rate": 0,
    "size": 7,
    "flip": 1.5,
    "seed": "abc",
    "fit": "stretch",
    "optimizer": "adam9",
    "device": "tpu",
    "val_share": 1,
    "schedule": 3,
    "mean": [0.1],
}


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_a_wrong_value_is_answered_with_setting_value_and_rule(name, value):
    with pytest.raises(InputError) as caught:
        decide(options=Recipe(**{name: value}) if name != "device" else Recipe(), hardware=_hardware(name, value))
    assert caught.value.message.startswith(name)
    assert repr(value) in caught.value.message
    assert caught.value.cure.startswith(f"{name}: ")


def _hardware(name: str, value: object) -> Hardware:
    return Hardware(str(value), "x", 2, "x") if name == "device" else CPU


@pytest.mark.parametrize(
    ("chosen", "word"),
    [
        ({"weights": "a.safetensors", "pretrained": False}, "weights"),
        ({"epochs": 0, "pretrained": False}, "epochs"),
        ({"size": 224, "resize": 200, "fit": "crop"}, "resize"),
        ({"freeze_body": True, "unfreeze_every": 1}, "unfreeze_every"),
        ({"freeze_body": True, "layer_decay": 0.8}, "layer_decay"),
        ({"early_sizes": [112, 256]}, "256. must not exceed size"),
        ({"early_sizes": [112], "early_share": 0.0}, "early_share"),
        ({"early_sizes": [], "early_share": 0.5}, "early_sizes"),
        ({"schedule": "plateau", "decay_unit": "steps"}, "plateau"),
        ({"precision": "fp16"}, "fp16"),
        ({"accumulate": 64, "batch_size": 32}, "accumulate"),
        ({"find_rate": True, "learning_rate": 0.1}, "learning rate"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(chosen, word):
    with pytest.raises(InputError, match=word) as caught:
        decide(options=Recipe(**chosen), network=LARGE, data=facts(300))
    assert caught.value.code == "plan.conflict"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "muon"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step", "exponential", "one-cycle", "plateau"])
@pytest.mark.parametrize("network", [SMALL, LARGE])
def test_every_optimiser_and_schedule_has_settings_that_go_together(optimizer, schedule, network):
    plan = decide(options=Recipe(optimizer=optimizer, schedule=schedule), network=network, data=facts(300))
    assert 1e-5 <= plan.settings.learning_rate <= 0.1
    assert plan.settings.patience > plan.settings.decay_every or schedule != "plateau"
    assert decision(plan, "momentum").reason and decision(plan, "warmup").reason


def test_a_pretrained_network_gets_a_tenth_and_a_timm_network_from_scratch_less_than_our_own():
    def rate(**chosen: object) -> float:
        network = SMALL if chosen.pop("own", False) else LARGE
        return decide(options=Recipe(**chosen), network=network, data=facts(300)).settings.learning_rate

    assert rate() < rate(pretrained=False) <= rate(own=True)
    assert rate(freeze_body=True) > rate()


def test_who_chooses_one_of_the_early_settings_gets_the_other():
    settings = decide(options=Recipe(early_sizes=[96, 128]), network=LARGE, data=facts(300)).settings
    assert (settings.early_sizes, settings.early_share) == ((96, 128), 0.5)
    settings = decide(options=Recipe(early_share=0.3), network=LARGE, data=facts(300)).settings
    assert (settings.early_sizes, settings.early_share) == ((168,), 0.3)


def test_a_staircase_falls_twice_in_a_training():
    settings = decide(options=Recipe(schedule="step", epochs=30), data=facts()).settings
    assert settings.decay_every == 10


@pytest.mark.parametrize("chosen", [{}, {"imbalance": "auto"}])
@pytest.mark.parametrize(
    ("counts", "wanted"), [((90, 10), "none"), ((100, 10), "class_weights"), ((50, 50, 0), "none"), ((), "none")]
)
def test_classes_are_weighted_from_ten_to_one_on(chosen, counts, wanted):
    data = replace(facts(), class_counts=counts)
    plan = decide(options=Recipe(**chosen), data=data)
    assert plan.settings.imbalance == wanted
    assert (decision(plan, "imbalance").origin, "times" in decision(plan, "imbalance").reason) == ("data", True)


def test_a_rate_of_a_recipe_gives_way_to_the_finder_that_is_asked_for():
    plan = decide(Recipe(learning_rate=0.3), Recipe(find_rate=True))
    assert plan.settings.find_rate and "finder" in decision(plan, "learning_rate").reason


def test_a_plan_takes_what_is_found_later():
    plan = decide().replace(Decision("learning_rate", 0.5, "finder", "why"))
    assert plan.settings.learning_rate == 0.5 and decision(plan, "learning_rate").origin == "finder"
    assert [d.name for d in plan.decisions] == list(Settings.model_fields)


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1", 1), ("a=0.5", 0.5), ("a=true", True), ("a=cosine", "cosine"), ("a=[1, 2]", [1, 2]), ("a=", "")],
)
def test_assignments_are_read_as_toml_or_as_text(text, value):
    assert parse_assignment(text) == ("a", value)


@pytest.mark.parametrize("text", ["epochs", "=3", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(InputError, match="name=value"):
        parse_assignment(text)


def test_a_recipe_is_read_from_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('model = "resnet18"\nepochs = 2\n')
    assert Recipe.from_toml(path) == Recipe(model="resnet18", epochs=2)


@pytest.mark.parametrize(("text", "code"), [("epochs = = 2", "recipe.toml"), ("epohcs = 2", "plan.unknown-setting")])
def test_a_wrong_recipe_is_refused(tmp_path, text, code):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        Recipe.from_toml(path)
    assert caught.value.code == code


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        Recipe.from_toml(tmp_path / "nowhere.toml")


def probed(verdict: str, change: str = "mirror", **more: object) -> DataFacts:
    survival = Survival(change, verdict, 300, 0.83, 0.61, 0.9, **more)
    return replace(facts(classes=("turn_left", "turn_right")), survivals={change: survival})


def test_a_probe_that_finds_harm_turns_the_mirror_off_with_its_figures():
    flip = decision(decide(data=replace(probed("harmful"), classes=("ant", "bee"))), "flip")
    assert (flip.value, flip.origin) == (0, "data")
    assert "61 % against 83 % without" in flip.reason and "n=300" in flip.reason


def test_a_probe_that_finds_none_beats_the_rule_of_names():
    assert decision(decide(data=probed("harmless")), "flip").value == 0.5


@pytest.mark.parametrize(("can_tell", "words"), [(True, "not conclusive"), (False, "could not distinguish")])
def test_names_decide_where_the_probe_cannot(can_tell, words):
    flip = decision(decide(data=probed("unclear", can_tell=can_tell)), "flip")
    assert flip.value == 0 and "turn_left" in flip.reason and words in flip.reason


def test_why_nothing_was_probed_stands_in_the_reason():
    flip = decision(decide(data=replace(facts(), not_probed="12 validation images are too few")), "flip")
    assert flip.value == 0.5 and "12 validation images" in flip.reason


def test_what_a_person_chose_stays_and_is_found_harmful():
    data = probed("harmful")
    plan = decide(options=Recipe(flip=0.4), data=data)
    assert plan.settings.flip == 0.4
    assert [name for name, _ in harmful_choices(plan.settings, data)] == ["flip"]
    assert not list(harmful_choices(decide(data=data).settings, data))
    turned = probed("harmful", "quarter-turn")
    assert not list(harmful_choices(decide(options=Recipe(rotate=30)).settings, turned))
    assert [name for name, _ in harmful_choices(decide(options=Recipe(rotate=90)).settings, turned)] == ["rotate"]


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, ("mirror",)),
        ({"flip": 0.0}, ()),
        ({"flip_vertical": 0.5}, ("mirror", "upside-down")),
        ({"rotate": 10.0, "flip": 0.0}, ("turn",)),
        ({"rotate": 72.0}, ("mirror", "turn", "quarter-turn")),
    ],
)
def test_only_changes_that_are_on_are_probed(chosen, wanted):
    assert changes_to_probe(chosen) == wanted


def test_given_weights_are_named_by_architecture_and_file_not_by_the_tag_of_published_ones():
    for chosen in ({}, {"model": "net.tag"}):
        plan = decide(options=Recipe(weights="mine.safetensors", **chosen), network=LARGE, data=facts(300))
        assert (plan.settings.model, plan.settings.weights) == ("net", "mine.safetensors")
        assert decision(plan, "mean").reason == "as net.tag expects it"
    assert decide(options=Recipe(model="net.tag"), network=LARGE, data=facts(300)).settings.model == "net.tag"


EARLIER = EarlierRun(
    "run first",
    Path("runs/first"),
    Path("m"),
    "small-cnn",
    ("bee", "ant"),
    "run first",
    "mit",
    {"size": 40, "width": 12, "mean": (0.1,) * 3},
)
CNN = NetworkFacts("small-cnn", "small", 32, 32, "bilinear", (0.5,) * 3, (0.25,) * 3, False, "none")


def test_an_earlier_run_decides_what_its_weights_are_made_for_unless_chosen_otherwise():
    options = Recipe(weights="first", width=16)
    assert choose_model(Recipe(), options, facts(), CPU, EARLIER).value == "small-cnn"
    plan = make_plan(Recipe(), options, facts(), CPU, CNN, EARLIER)
    settings = plan.settings
    assert (settings.size, settings.width, settings.mean, settings.depth) == (40, 16, (0.1,) * 3, 1)
    assert decision(plan, "size").origin == "weights" and decision(plan, "width").origin == "option"
    assert settings.pretrained and not settings.head_first
    other = make_plan(Recipe(), options, facts(classes=("cat", "dog")), CPU, CNN, EARLIER)
    assert other.settings.head_first  # no row to keep


def test_a_plan_names_the_run_that_it_starts_from_whatever_was_typed():
    plan = make_plan(Recipe(), Recipe(weights="latest"), facts(), CPU, CNN, EARLIER)
    assert plan.settings.weights == str(EARLIER.folder)
    assert "latest" in decision(plan, "weights").reason


def test_weights_that_are_typed_beat_a_recipe_from_scratch():
    recipe = Recipe(pretrained=False, epochs=4)
    settings = make_plan(recipe, Recipe(weights="first"), facts(), CPU, CNN, EARLIER).settings
    assert settings.pretrained and settings.epochs == 4
    with pytest.raises(InputError, match="pretrained is false"):
        make_plan(recipe, Recipe(weights="first", pretrained=False), facts(), CPU, CNN, EARLIER)


def test_another_network_than_the_earlier_runs_is_refused_and_another_tag_is_not():
    with pytest.raises(WeightsError, match="small-cnn"):
        choose_model(Recipe(model="resnet18"), Recipe(), facts(), CPU, EARLIER)
    timms = replace(EARLIER, model="resnet18.tv_in1k")
    assert choose_model(Recipe(model="resnet18"), Recipe(), facts(), CPU, timms).value == "resnet18.tv_in1k"


def test_rows_of_a_head_are_found_by_name():
    assert EARLIER.head_rows(("ant", "bee", "cat")) == {0: 1, 1: 0}
    assert EARLIER.head_rows(("cat",)) == {}


# -- what the fast network brings along ------------------------------------------------------------------------


@pytest.mark.parametrize("train", [1, 60, 1_000, 14_000, 45_000, 1_000_000])
@pytest.mark.parametrize("side", [8, 16, 32, 48, 64])
def test_the_fast_network_has_a_plan_for_any_number_and_size_of_images(train, side):
    settings = decide(data=facts(side, train=train)).settings
    assert settings.optimizer == "muon" and settings.schedule == "linear" and settings.patience == 0
    assert 16 <= settings.batch_size <= 500 and 8 <= settings.epochs <= 40
    assert all(12 <= early < settings.size for early in settings.early_sizes)
    assert settings.early_share == pytest.approx(0.35 * len(settings.early_sizes))


def test_the_rates_are_those_of_the_speed_record_at_its_batch_for_a_summed_loss():
    """airbench94_muon: batch 2,000, 0.24 for filters, 0.053 for biases, 0.67 for a head over 256 features / 256."""
    chosen = Recipe(batch_size=2_000, width=128)
    settings = decide(options=chosen, data=facts(32, train=50_000)).settings
    assert settings.learning_rate == pytest.approx(0.24)
    assert settings.learning_rate * settings.bias_rate == pytest.approx(0.053 * 2_000, rel=1e-3)
    assert settings.learning_rate * settings.head_rate == pytest.approx(0.67 * 2_000 / 256**2, rel=1e-3)


def test_a_chosen_rate_scales_all_of_them_and_another_optimiser_has_its_own():
    usual = decide().settings
    faster = decide(options=Recipe(learning_rate=2 * usual.learning_rate)).settings
    assert (faster.bias_rate, faster.head_rate) == (usual.bias_rate, usual.head_rate)
    other = decide(options=Recipe(optimizer="adamw"))
    assert (other.settings.bias_rate, other.settings.learning_rate) == (1, 4e-3)
    assert decision(other, "batch_size").reason.startswith("one twentieth")


def test_bf16_is_planned_only_where_the_machine_computes_in_it():
    assert decide(hardware=replace(CPU, has_bf16=True)).settings.precision == "bf16"
    assert decide().settings.precision == "fp32"
    assert decide(network=LARGE, hardware=replace(CPU, has_bf16=True), data=facts(300)).settings.precision == "bf16"
    assert decide(hardware=replace(CPU, device="mps", has_bf16=True)).settings.precision == "fp32"


def test_a_choice_beats_what_the_network_brings_along():
    plan = decide(options=Recipe(epochs=3, schedule="plateau", early_sizes=[], label_smoothing=0.0))
    assert (plan.settings.epochs, plan.settings.schedule, plan.settings.early_share) == (3, "plateau", 0)
    assert plan.settings.patience > 0 and decision(plan, "label_smoothing").origin == "option"


def test_one_cycle_keeps_its_rise_and_its_momentum_with_the_fast_network():
    settings = decide(options=Recipe(schedule="one-cycle")).settings
    assert (settings.warmup, settings.momentum) == (0.3, 0.95)


def test_early_sizes_are_off_where_their_share_is_0():
    assert decide(options=Recipe(early_share=0.0)).settings.early_sizes == ()


def test_the_finder_does_not_go_with_thawing():
    with pytest.raises(InputError, match="find_rate") as caught:
        decide(options=Recipe(find_rate=True, unfreeze_every=1.0), network=LARGE, data=facts(300))
    assert caught.value.code == "plan.conflict"


def test_a_network_of_ours_without_width_is_refused_and_not_divided_by():
    with pytest.raises(InputError, match="width"):
        decide(options=Recipe(width=0))


def test_a_setting_that_a_plan_lacks_is_named_without_all_the_others():
    values = decide().settings.model_dump()
    del values["epochs"]
    with pytest.raises(InputError) as caught:
        make_settings(values)
    assert caught.value.message.startswith("epochs: ") and "batch_size" not in caught.value.message


def test_what_is_left_out_is_shown_and_comes_back_from_the_plan():
    plan = decide(options=Recipe(layout="classes", skip=("raw", "*'\"ä.png")))
    assert plan.settings.skip == ("raw", "*'\"ä.png")
    assert next(row[1] for row in plan.rows() if row[0] == "skip") == "raw, *'\"ä.png"
    assert Plan.from_toml(plan.to_toml()).settings == plan.settings
