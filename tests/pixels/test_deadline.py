"""The time limit of one file, and threads that are stopped."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from sightline.errors import InputError, UnreadableImage
from sightline.pixels import deadline
from sightline.pixels.deadline import Team, time_limit
from sightline.pixels.decode import decode_image
from sightline.pixels.stream import decoding_threads


def work_for_ever() -> None:
    while True:
        sum(range(100))


def test_what_takes_too_long_is_a_verdict_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MAX_SECONDS", "0.01")
    with (
        pytest.raises(UnreadableImage, match=r"slow\.jpg: decoding it takes more than 0\.01 seconds"),
        time_limit("slow.jpg"),
    ):
        work_for_ever()
    with time_limit("quick.jpg"):  # nothing of it is left for the next file
        pass
    sum(range(1_000_000))


def test_an_interruption_that_is_felt_while_leaving_is_a_verdict_too() -> None:
    watch, ready, go, said = deadline._watch, threading.Event(), threading.Event(), []

    def decode() -> None:
        try:
            with time_limit("slow.jpg"):
                ready.set()
                while not go.is_set():
                    pass
                raise ValueError("damaged")
        except (UnreadableImage, ValueError) as error:
            said.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    assert ready.wait(20) and thread.ident
    with watch.lock:  # the thread can't leave, and waits for that
        go.set()
        while sys._current_frames()[thread.ident].f_code.co_name != "leave":
            time.sleep(0.001)
        watch.interrupt(thread.ident, "too slow")
    thread.join(20)
    assert [str(type(error).__name__) for error in said] == ["UnreadableImage"]
    assert "too slow" in str(said[0])


def test_a_decoder_that_catches_every_error_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MAX_SECONDS", "0.01")

    def stubborn() -> None:
        while True:
            try:
                work_for_ever()
            except Exception:
                continue

    with pytest.raises(UnreadableImage, match="more than"), time_limit("a"), time_limit("inner"):
        stubborn()


def test_time_in_which_nothing_is_computed_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "pthread_getcpuclockid"):
        pytest.skip("this system does not tell the processor's time of a thread")
    monkeypatch.setenv("SIGHTLINE_MAX_SECONDS", "0.2")
    with time_limit("waits.jpg"):
        time.sleep(0.6)


@pytest.mark.parametrize("text", ["long", "0", "-1", "nan"])
def test_a_limit_that_is_not_a_number_is_the_users_fault(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MAX_SECONDS", text)
    with pytest.raises(InputError) as caught:
        decode_image(b"GIF89a")
    assert caught.value.code == "image.max-seconds"


def test_members_of_a_stopped_team_stop_what_they_decode_and_decode_no_more() -> None:
    team, started, said = Team(), threading.Event(), []

    def member() -> None:
        team.join()
        for name in ("first", "second"):
            try:
                with time_limit(name):
                    started.set()
                    work_for_ever()
            except UnreadableImage as error:
                said.append(str(error.path))

    thread = threading.Thread(target=member)
    thread.start()
    assert started.wait(20)
    team.stop()
    thread.join(20)
    assert said == ["first", "second"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_threads_whose_work_is_given_up_end_though_they_would_decode_for_ever(error: type[BaseException]) -> None:
    started = threading.Event()

    def decode() -> None:
        with time_limit("slow.jpg"):
            started.set()
            work_for_ever()

    with pytest.raises(error), decoding_threads(2, "given-up") as pool:
        for _ in range(50):
            pool.submit(decode)
        assert started.wait(20)
        raise error
    left = [thread for thread in threading.enumerate() if thread.name.startswith("given-up")]
    for thread in left:
        thread.join(20)
        assert not thread.is_alive()
