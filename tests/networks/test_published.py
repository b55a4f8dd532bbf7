"""What the hub says of a network's weights, within a short time: on good days, on bad ones, and without a network."""

from __future__ import annotations

import pytest
import timm
from safetensors.torch import save_file

from answering_hub import BAD_DAYS, REPOSITORY, answering_hub
from sightline.errors import WeightsError
from sightline.networks.describe import describe_network
from sightline.networks.published import ask_hub
from sightline.networks.weights import download_weights, find_weights, refuse_unavailable
from sightline.planning.carried_network import CARRIED

NAME = REPOSITORY.partition("/")[2]


@pytest.fixture
def own_weights(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def test_a_real_repository_is_asked_once_and_its_weights_come(connect_hub, own_weights):
    with answering_hub("good", own_weights.read_bytes()) as hub:
        connect_hub(hub.endpoint)
        refuse_unavailable("test_resnet")
        facts = describe_network("test_resnet")
        found = find_weights(facts, "")
        assert (found.size, found.licence, found.path) == (own_weights.stat().st_size, "apache-2.0", None)
        path = download_weights(facts, found)
        assert path.read_bytes() == own_weights.read_bytes()
        assert hub.count("GET /api/models/") == 1
        before = len(hub.asked)
        refuse_unavailable("test_resnet")
        assert find_weights(facts, "").path == path and len(hub.asked) == before  # from the cache


@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_hub_that_gives_nothing_is_an_error_with_the_ways_on(connect_hub, day):
    said = {"silent": "no answer from", "trickling": "no answer from", "broken": "500", "without it": "404"}
    with answering_hub(day) as hub:
        connect_hub(hub.endpoint)
        for ask in (lambda: ask_hub(NAME, REPOSITORY), lambda: refuse_unavailable(NAME)):
            with pytest.raises(WeightsError) as caught:
                ask()
            assert caught.value.code == "weights.unavailable" and NAME in caught.value.message
            assert said.get(day, "page to log in") in caught.value.message
            for way in (
                f"--model {CARRIED.name}",
                "--weights FILE",
                "--no-pretrained",
                "HF_HUB_ETAG_TIMEOUT",
            ):
                assert way in caught.value.cure


def test_a_deadline_of_ones_own_is_kept(connect_hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 1)
    with answering_hub("silent") as hub:
        connect_hub(hub.endpoint)
        with pytest.raises(WeightsError, match="within 1 s"):
            ask_hub(NAME, REPOSITORY)


def test_without_anything_that_listens_and_offline_the_reason_is_named(connect_hub, hub, monkeypatch):
    with answering_hub("good") as other:
        gone = other.endpoint
    connect_hub(gone)
    with pytest.raises(WeightsError, match=r"ConnectError|refused"):
        refuse_unavailable(NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="offline"):
        refuse_unavailable(NAME)


def test_what_is_in_the_cache_or_unknown_to_timms_sources_is_not_asked_for(connect_hub, cache_weights, own_weights):
    cache_weights(NAME, own_weights)
    with answering_hub("broken") as hub:
        connect_hub(hub.endpoint)
        for name in (NAME, "test_resnet", "small-fast", "tf_efficientnet_lite0", "deepseek_vit_412m", "nobodys"):
            refuse_unavailable(name)
        assert hub.asked == []


def test_without_a_home_the_hub_is_not_asked_for_what_has_no_place(connect_hub, monkeypatch):
    """Its library would make a folder called ~ where the command was typed."""
    with answering_hub("good") as hub:
        connect_hub(hub.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
        with pytest.raises(WeightsError, match="no home folder is known") as caught:
            ask_hub(NAME, REPOSITORY)
        assert caught.value.code == "weights.unavailable" and "HF_HOME" in caught.value.message
        assert hub.asked == []
