"""The family of errors."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from sightline import errors
from sightline.errors import SightlineError, UnreadableImage

FAMILY = [kind for name in errors.__all__ if issubclass(kind := getattr(errors, name), SightlineError)]
PLAIN = [kind for kind in FAMILY if kind is not UnreadableImage]


def example(kind: type[SightlineError]) -> SightlineError:
    return kind("a.jpg", "empty") if kind is UnreadableImage else kind("room.reason", "what is wrong", "what to type")


@pytest.mark.parametrize("kind", PLAIN)
def test_an_error_carries_code_message_and_cure(kind: type[SightlineError]) -> None:
    error = kind("room.reason", "what is wrong", "what to type")
    assert error.to_dict() == {"code": "room.reason", "message": "what is wrong", "cure": "what to type"}
    assert str(error) == "what is wrong (cure: what to type)"


@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_survives_a_process_pool(kind: type[SightlineError], travel: object) -> None:
    error = example(kind)
    back = travel(error)
    assert type(back) is kind
    assert back.to_dict() == error.to_dict()
    assert str(back) == str(error)


def test_an_unreadable_image_knows_its_path_and_reason() -> None:
    error = UnreadableImage("photos/a.jpg", "the file is empty")
    assert (error.path, error.reason, error.code) == ("photos/a.jpg", "the file is empty", "image.unreadable")
    assert "photos/a.jpg: the file is empty" in str(error)


@pytest.mark.parametrize("kind", FAMILY)
def test_exit_codes_are_those_of_the_manners(kind: type[SightlineError]) -> None:
    assert kind.exit_code == {"ExportMismatch": 4, "GateNotMet": 5}.get(kind.__name__, 2)


def test_all_errors_descend_from_the_base_and_are_public() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert {kind for kind in classes if issubclass(kind, Exception)} == set(FAMILY)
    assert all(issubclass(kind, SightlineError) for kind in FAMILY)
    assert not issubclass(errors.StopRequested, Exception)  # nothing that catches errors may swallow a signal


def test_the_tree_in_the_docstring_is_the_family() -> None:
    drawn = re.findall(r"[├└]── (\w+)", str(errors.__doc__))
    assert set(drawn) == {kind.__name__ for kind in FAMILY} - {"SightlineError"}
