"""Where things are kept between runs, and how large they may grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline.caches import NOWHERE, cache_folder, cache_limit, expand_home, state_folder
from sightline.errors import InputError


def test_the_cache_folder_is_the_one_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", os.path.join("~", "pixels"))  # noqa: PTH118
    assert cache_folder() == Path.home() / "pixels"


@pytest.mark.parametrize("value", [None, ""])
def test_else_the_cache_lies_in_the_users_own(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    import platformdirs

    if value is None:
        monkeypatch.delenv("SIGHTLINE_CACHE")
    else:
        monkeypatch.setenv("SIGHTLINE_CACHE", value)
    assert cache_folder() == Path(platformdirs.user_cache_dir("sightline", appauthor=False))


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process finds whose user has a number, and no name: the system answers so."""
    import pwd

    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    for name in ("SIGHTLINE_CACHE", "SIGHTLINE_STATE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no HOME")
@pytest.mark.parametrize("home", [None, "", "not/absolute"])
@pytest.mark.usefixtures("nameless")
def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)
    for folder in (cache_folder(), state_folder()):
        assert folder == NOWHERE
        with pytest.raises(OSError):
            folder.mkdir(parents=True)
    assert expand_home("photos") == Path("photos")
    assert expand_home("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")
    if not home:
        with pytest.raises(InputError, match="none is known here") as caught:
            expand_home("~/photos")
        assert caught.value.code == "path.no-home"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no HOME")
@pytest.mark.usefixtures("nameless")
def test_without_a_home_what_was_set_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_STATE", str(tmp_path / "state"))
    assert (cache_folder(), state_folder()) == (tmp_path / "sightline", tmp_path / "state")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", 20 * 2**30),
        ("  ", 20 * 2**30),
        ("0", 0),
        ("812", 812),
        ("500M", 500 * 2**20),
        ("20G", 20 * 2**30),
        ("1.5t", 3 * 2**39),
        (" 64 KiB ", 2**16),
        ("7GB", 7 * 2**30),
    ],
)
def test_the_limit_of_the_cache_is_read(monkeypatch: pytest.MonkeyPatch, text: str, limit: int) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE_LIMIT", text)
    assert cache_limit() == limit


@pytest.mark.parametrize(
    "text", ["much", "-1", "20X", "G", "1e9", "1,5G", "nan", "inf", "5 5", "20G!", "٣G", "9" * 400]
)
def test_an_invalid_limit_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE_LIMIT", text)
    with pytest.raises(InputError, match="is not a valid size") as caught:
        cache_limit()
    assert caught.value.code == "cache.limit"
    assert "20G" in caught.value.cure


def test_without_a_limit_the_cache_has_20_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_CACHE_LIMIT", raising=False)
    assert cache_limit() == 20 * 2**30
