"""The list of networks: what matches, what is known of each, and what lies in the cache."""

from __future__ import annotations

import pytest
import timm

from sightline.errors import InputError
from sightline.networks.carried import carried_file
from sightline.networks.listing import list_networks, measure_cached
from sightline.planning.carried_network import CARRIED
from sightline.planning.own_networks import OWN_NETWORKS


def test_without_a_pattern_it_lists_ours_with_their_size_and_the_carried_one():
    found = {network.name: network for network in list_networks()}
    carried = found.pop(CARRIED.name)
    assert carried.is_carried and carried.is_cached and carried.licence == "apache-2.0"
    built = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    assert carried.parameters == sum(weights.numel() for weights in built.parameters())
    assert list(found) == list(OWN_NETWORKS)
    # Layer by layer, with biases: three convolutions and the dense layer.
    assert found["small-cnn"].parameters == 28 * 32 + 289 * 64 + 577 * 128 + 2049 * 128
    assert not any(network.is_cached or network.is_carried for network in found.values())


def test_timms_are_those_with_published_weights_and_as_large_as_timm_builds_them(hub):
    found = {network.name: network for network in list_networks("resnet18*")}
    assert list(found) == timm.list_models("resnet18*", pretrained=True)
    built = timm.create_model("resnet18", num_classes=0)
    network = found["resnet18.tv_in1k"]
    assert network.parameters == sum(weights.numel() for weights in built.parameters())
    assert (network.size, network.licence) == (224, timm.get_pretrained_cfg("resnet18.tv_in1k").license)


def test_a_part_of_a_name_is_enough_and_ours_match_too(hub):
    names = [network.name for network in list_networks("convnext_tin")]
    assert "convnext_tiny.fb_in1k" in names
    assert [network.name for network in list_networks("small-res")] == ["small-resnet"]


def test_of_many_networks_none_is_built(hub):
    found = list_networks("*")
    assert len(found) > 1_000
    assert {network.parameters for network in found[len(OWN_NETWORKS) :] if not network.is_carried} == {None}


def test_weights_in_the_hubs_cache_are_marked(hub, cache_weights, tmp_path):
    (tmp_path / "weights").write_bytes(b"x")
    cache_weights("test_resnet.r160_in1k", tmp_path / "weights")
    assert {network.name: network.is_cached for network in list_networks("test_res*")}["test_resnet.r160_in1k"]
    assert not any(network.is_cached for network in list_networks("test_convnext*"))


def test_what_is_here_is_told_without_a_list_of_all(hub, cache_weights, tmp_path):
    """What lies in the cache under timm's names, with its bytes; neither data sets nor networks of others."""
    (tmp_path / "weights").write_bytes(b"x" * 30)
    carried = {CARRIED.name: 2 * carried_file().stat().st_size}
    assert measure_cached() == carried
    for name in ("test_resnet.r160_in1k", "resnet18.tv_in1k", "mine.of_others"):
        cache_weights(name, tmp_path / "weights")
    (hub / "models--timm--resnet34.tv_in1k" / "refs").mkdir(parents=True)  # a download that did not end
    found = measure_cached()
    assert found == {**carried, "resnet18.tv_in1k": 30, "test_resnet.r160_in1k": 30}
    assert {network.name for network in list_networks("*") if network.is_cached} == found.keys()


def test_the_carried_one_is_here_under_a_pattern_too_and_its_likes_are_not(hub):
    found = {network.name: network for network in list_networks("tf_efficientnet_lite*")}
    assert [name for name, network in found.items() if network.is_cached] == [CARRIED.name]
    assert [name for name, network in found.items() if network.is_carried] == [CARRIED.name]
    assert "tf_efficientnet_lite4.in1k" in found


def test_no_match_is_answered_with_the_nearest_names(hub):
    with pytest.raises(InputError) as caught:
        list_networks("resnet81")
    assert caught.value.code == "model.no-match" and "resnet18" in caught.value.cure
