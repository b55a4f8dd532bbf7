"""The names in timm's source files are those that timm has when it is imported."""

from __future__ import annotations

import pytest
import timm

from sightline.errors import InputError
from sightline.networks import describe, timm_names
from sightline.networks.describe import describe_network, refuse_unknown
from sightline.networks.timm_names import read_timm_names

EVERY = [*timm.list_models(include_tags=True), *timm.list_models()]


@pytest.fixture(scope="module")
def names():
    found = read_timm_names()
    assert found
    return found


def test_the_networks_are_timms_and_no_name_of_timms_is_taken_for_a_wrong_one(names):
    assert names.networks == set(timm.list_models())
    deprecated = timm.models._registry._deprecated_models
    assert len(deprecated) > 100 and set(deprecated) <= names.networks | names.mentioned


def test_the_default_tag_and_every_repository_are_timms(names):
    wrong, unknown = [], []
    for name in EVERY:
        config = timm.get_pretrained_cfg(name)
        stated = names.repository_of(name)
        if stated is None:
            unknown += [name] * bool(config.hf_hub_id)
        elif stated != config.hf_hub_id:
            wrong.append((name, stated, config.hf_hub_id))
    assert wrong == []
    assert len(unknown) < len(EVERY) / 10  # those that timm's code makes, or that get their repository from a helper


def test_every_tag_of_timms_is_known_or_not_listed_at_all(names):
    tagged = [name for name in timm.list_models(include_tags=True) if "." in name]
    assert len(tagged) > 1_500
    for name in tagged:
        network, _, tag = name.partition(".")
        assert tag in names.tags.get(network, (tag,)), name


@pytest.fixture
def as_if_not_imported(monkeypatch):
    """Names are read from the sources, as in a process that has not imported timm."""
    monkeypatch.setattr(describe, "sys", type("NoModules", (), {"modules": {}}))


@pytest.mark.parametrize("name", ["resnet81", "convnext_tinny", "resnet18.nobody", "hf-hub:timm/resnet18", "."])
def test_a_wrong_name_is_refused_as_timm_itself_would(name, as_if_not_imported):
    with pytest.raises(InputError) as early:
        refuse_unknown(name)
    with pytest.raises(InputError) as late:
        describe_network(name)
    assert (early.value.code, early.value.message) == (late.value.code, late.value.message)
    assert early.value.cure.split()[:4] == late.value.cure.split()[:4]


@pytest.mark.parametrize("name", ["resnet18", "resnet18.tv_in1k", "small-fast", "tf_efficientnet_lite0", "tv_resnet34"])
def test_a_right_name_is_not_refused(name, as_if_not_imported):
    refuse_unknown(name)


def test_without_timm_or_its_sources_nothing_is_known_and_nothing_refused(tmp_path, monkeypatch, as_if_not_imported):
    read_timm_names.cache_clear()
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    for found in (None, spec):
        monkeypatch.setattr(timm_names.importlib.util, "find_spec", lambda name, found=found: found)
        assert read_timm_names() is None
        refuse_unknown("resnet81")
        read_timm_names.cache_clear()


def test_a_name_of_an_old_timm_is_answered_with_the_nearest_names():
    with pytest.raises(InputError) as caught:
        describe_network("tv_resnet34")
    assert caught.value.code == "model.unknown-name" and "resnet34" in caught.value.cure
