"""``model.onnx`` opened: the contract, the order of rows, and what is refused.

The model of these tests is known: its features are the mean of red, green and blue (0 to 1), its probabilities
are the softmax of ten times that, its novelty is twice their mean.
"""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from known_model import GOOD, PREPROCESS, bundle, forged, model_bytes
from sightline.errors import InputError, ModelError, UnreadableImage
from sightline.pixels.decode import decode_image
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.classifier import Classifier


def wanted(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and features of a decoded image, in numpy."""
    features = PREPROCESS.apply(image).reshape(-1, 3).mean(0) / 255
    powers = np.exp(10 * features)
    return powers / powers.sum(), features


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.open(GOOD)


@pytest.fixture
def files(photos: Path) -> list[Path]:
    return sorted(path for path in photos.rglob("*") if path.is_file())


# -- opening ----------------------------------------------------------------------------------------------------


def test_a_classifier_opens_from_file_folder_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(GOOD)
    for source in (tmp_path / "model.onnx", str(tmp_path / "model.onnx"), tmp_path, GOOD):
        opened = Classifier.open(source, threads=1)
        assert opened.classes == ("red", "green", "blue")
        assert opened.preprocess == PREPROCESS
        assert opened.path == (None if source is GOOD else tmp_path / "model.onnx")


def test_it_shows_its_model_and_classes(classifier: Classifier) -> None:
    assert repr(classifier) == "Classifier(mean-colour, 3 classes: red, green, blue)"


def test_a_missing_classifier_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: No such file") as caught:
        Classifier.open(tmp_path)
    assert caught.value.code == "model.missing"


@pytest.mark.parametrize("data", [b"", b"no model", GOOD[:-50], GOOD[:40]], ids=["empty", "text", "end", "start"])
def test_a_damaged_model_is_a_model_error(data: bytes) -> None:
    with pytest.raises(ModelError):
        Classifier.open(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (model_bytes(None), "model.foreign"),
        (model_bytes("no json"), "model.bundle"),
        (model_bytes(bundle().to_json().replace('"schema_version": 3', '"schema_version": 9')), "model.schema"),
        (model_bytes(bundle(classes=("red", "green")).to_json()), "model.contract"),
        (model_bytes(bundle(feature_size=4).to_json()), "model.contract"),
        (model_bytes(bundle().to_json(), entry="image"), "model.contract"),
        (model_bytes(bundle().to_json(), kind=TensorProto.FLOAT), "model.contract"),
        (model_bytes(bundle().to_json(), outputs=1), "model.contract"),
        (model_bytes(bundle(preprocess=Preprocess(size=7, resize=8)).to_json()), "model.contract"),
    ],
    ids=["foreign", "bundle", "schema", "classes", "features", "name", "type", "outputs", "size"],
)
def test_a_model_that_is_not_what_its_bundle_says_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        Classifier.open(data)
    assert caught.value.code == code


def scaled(model: onnx.ModelProto, factor: float, output: str = "probabilities") -> None:
    """Multiply an output."""
    for node in model.graph.node:
        if node.output[0] == output:
            node.output[0] = "raw"
    model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]))
    model.graph.node.append(helper.make_node("Mul", ["raw", "factor"], [output]))


@pytest.mark.parametrize("output", ["probabilities", "features", "novelty"])
@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -1.0])
def test_a_model_that_answers_nonsense_is_refused_when_it_is_opened(output: str, factor: float, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(forged(lambda model: scaled(model, factor, output)))
    with pytest.raises(ModelError, match=r"model\.onnx answers with") as caught:
        Classifier.open(tmp_path)
    assert caught.value.code == "model.answers" and caught.value.cure


def test_probabilities_times_five_are_refused() -> None:
    with pytest.raises(ModelError, match="above 1"):
        Classifier.open(forged(lambda model: scaled(model, 5)))


def test_nonsense_for_one_image_alone_is_an_error_with_its_name_and_no_answer(tmp_path: Path) -> None:
    """Dark images alone give NaN: the logarithm of a negative number."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "raw"
        model.graph.initializer.append(helper.make_tensor("dark", TensorProto.FLOAT, [], [0.1]))
        nodes = [("Sub", ["grey", "dark"], "light"), ("Sqrt", ["light"], "root"), ("Mul", ["root", "raw"], "novelty")]
        model.graph.node.extend(helper.make_node(kind, given, [out]) for kind, given, out in nodes)

    (tmp_path / "model.onnx").write_bytes(forged(change))
    opened = Classifier.open(tmp_path)
    Image.fromarray(flat(200)).save(tmp_path / "light.png")
    Image.fromarray(flat(3)).save(tmp_path / "night.png")
    assert opened.predict(tmp_path / "light.png")[0].label
    with pytest.raises(ModelError, match=r"model\.onnx answers with a novelty that is not finite, .* for .*night\.png"):
        opened.predict([tmp_path / "light.png", tmp_path / "night.png"])


def test_a_model_that_fails_while_it_computes_is_a_model_error() -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "raw"
        model.graph.initializer.append(helper.make_tensor("far", TensorProto.INT64, [1], [99]))
        model.graph.node.extend(
            [
                helper.make_node("Cast", ["raw"], ["place"], to=TensorProto.INT64),
                helper.make_node("Add", ["place", "far"], ["beyond"]),
                helper.make_node("Gather", ["raw", "beyond"], ["novelty"]),
            ]
        )

    with pytest.raises(ModelError, match="can't compute its answers") as caught:
        Classifier.open(forged(change))
    assert caught.value.code == "model.failed"


def test_what_is_no_file_and_what_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    os.truncate(os.open(tmp_path / "model.onnx", os.O_CREAT | os.O_WRONLY), 3 << 30)  # a hole: it takes no space
    for source in (tmp_path, Path(os.devnull)):
        with pytest.raises(ModelError) as caught:
            Classifier.open(source)
        assert caught.value.code == "model.unsafe"


# -- predicting -------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_known_model(classifier: Classifier, files: list[Path]) -> None:
    said = classifier.predict(files)
    assert said.paths == tuple(map(str, files))
    for row, path in enumerate(files):
        probabilities, features = wanted(decode_image(path))
        np.testing.assert_allclose(said.probabilities[row], probabilities, rtol=1e-5)
        np.testing.assert_allclose(said.features[row], features, rtol=1e-5)
        assert said[row].label == path.parent.name


def test_every_kind_of_input_gives_the_same_row(classifier: Classifier, files: list[Path]) -> None:
    path = next(path for path in files if path.suffix == ".png")
    pixels = decode_image(path)
    for image in (path, str(path), path.read_bytes(), Image.open(path), pixels):
        for given in (image, [image], iter([image])):
            said = classifier.predict(given)
            assert len(said) == 1
            np.testing.assert_allclose(said.probabilities[0], wanted(pixels)[0], rtol=1e-5)


def test_a_batch_of_arrays_is_one_row_each(classifier: Classifier) -> None:
    batch = np.zeros((3, 6, 6, 3), np.uint8)
    batch[[0, 1, 2], ..., [2, 1, 0]] = 255
    assert [row.label for row in classifier.predict(batch)] == ["blue", "green", "red"]


def test_rows_without_a_file_are_called_pixels(classifier: Classifier, files: list[Path]) -> None:
    said = classifier.predict([np.zeros((6, 6, 3), np.uint8), files[0].read_bytes(), Image.open(files[0])])
    assert said.paths == ("<pixels>", "<pixels>", str(files[0]))


def test_no_images_give_no_rows(classifier: Classifier) -> None:
    said = classifier.predict([])
    assert len(said) == 0
    assert said.probabilities.shape == (0, 3)
    assert said.features.shape == (0, 3)


def test_unreadable_images_are_errors_in_their_place_and_the_others_stay_right(
    classifier: Classifier, files: list[Path], tmp_path: Path
) -> None:
    said = classifier.predict([tmp_path / "none.jpg", files[0], b"", files[8], np.zeros(3)])
    assert said.errors[0] == "no such file"
    assert said.errors[2] == "the file is empty"
    assert [error is None for error in said.errors] == [False, True, False, True, False]
    assert np.isnan(said.probabilities[[0, 2, 4]]).all()
    assert np.isnan(said.features[[0, 2, 4]]).all()
    np.testing.assert_allclose(said.probabilities[1], wanted(decode_image(files[0]))[0], rtol=1e-5)
    np.testing.assert_allclose(said.probabilities[3], wanted(decode_image(files[8]))[0], rtol=1e-5)


def test_only_unreadable_images_give_only_errors(classifier: Classifier) -> None:
    said = classifier.predict([b"", b"no"])
    assert said.count_bad == 2
    assert np.isnan(said.probabilities).all()


def test_a_truncated_pillow_image_is_an_error_row(classifier: Classifier) -> None:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(out, "JPEG")
    image = Image.open(io.BytesIO(out.getvalue()[:-500]))
    assert classifier.predict([image]).count_bad == 1


@pytest.fixture(
    params=[None, (ThreadPoolExecutor, 1), (ThreadPoolExecutor, 4), (ProcessPoolExecutor, 2)], scope="module"
)
def pool(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    """What a caller may bring to decode with."""
    if request.param is None:
        yield None
        return
    kind, count = request.param
    context = {} if kind is ThreadPoolExecutor else {"mp_context": multiprocessing.get_context("spawn")}
    with kind(count, **context) as made:
        yield made


def test_a_stream_keeps_the_order_over_many_batches(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, pool: Executor | None
) -> None:
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 4)
    images = [np.full((6, 6, 3), (k, 0, 255 - k), np.uint8) for k in range(0, 250, 11)]
    parts = list(classifier.predict_stream(iter(images), pool=pool))
    assert [len(part) for part in parts] == [4, 4, 4, 4, 4, 3]
    red = np.concatenate([part.features for part in parts])[:, 0]
    np.testing.assert_allclose(red * 255, range(0, 250, 11), atol=1e-3)


def test_two_steps_give_what_one_does(classifier: Classifier, files: list[Path], pool: Executor | None) -> None:
    images = [files[0], b"", files[8], UnreadableImage("x.jpg", "it is gone")]
    squares = list(classifier.squares(images, pool=pool))
    assert np.array_equal(squares[0], PREPROCESS.apply(decode_image(files[0])))
    assert [getattr(square, "reason", "") for square in squares] == ["", "the file is empty", "", "it is gone"]
    said, whole = classifier.answer(squares, list("abcd")), classifier.predict(images)
    assert said.paths == ("a", "b", "c", "d") and said.errors == whole.errors
    np.testing.assert_array_equal(said.probabilities, whole.probabilities)
    np.testing.assert_array_equal(said.novelty, whole.novelty)


def test_a_pool_that_was_brought_stays_open_and_is_given_no_more_to_do(classifier: Classifier) -> None:
    with ThreadPoolExecutor(1) as pool:
        squares = classifier.squares(iter([np.zeros((6, 6, 3), np.uint8)] * 1000), pool=pool)
        next(squares)
        squares.close()
        assert pool.submit(int, "7").result(timeout=10) == 7


def test_more_squares_than_a_batch_are_answered_batch_by_batch(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 4)
    counts: list[int] = []
    run = classifier.run
    monkeypatch.setattr(classifier, "run", lambda pixels: (counts.append(len(pixels)), run(pixels))[1])
    squares = np.random.default_rng(0).integers(0, 255, (10, 6, 6, 3), np.uint8)
    said = classifier.answer(squares)
    assert counts == [4, 4, 2] and said.paths == ("<pixels>",) * 10
    np.testing.assert_allclose(said.features, squares.mean((1, 2)) / 255, rtol=1e-5)


def test_a_stream_takes_no_more_images_than_it_needs(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.runtime.classifier.squares_at_once", lambda size: 4)
    monkeypatch.setattr("sightline.pixels.stream.usable_threads", lambda: 3)
    taken = []

    def images() -> object:
        for number in range(1000):
            taken.append(number)
            yield np.zeros((6, 6, 3), np.uint8)

    stream = classifier.predict_stream(images())
    next(stream)
    assert len(taken) <= 16
    stream.close()


def test_run_takes_preprocessed_squares(
    classifier: Classifier, write_image: Callable[..., Path], tmp_path: Path
) -> None:
    image = decode_image(write_image(tmp_path / "a.png", (200, 100, 0)))
    probabilities, features, _ = classifier.run(PREPROCESS.apply(image)[None])
    assert probabilities.dtype == features.dtype == np.float32
    np.testing.assert_allclose(probabilities[0], wanted(image)[0], rtol=1e-5)


# -- unknown ----------------------------------------------------------------------------------------------------


def flat(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level, np.uint8)


def test_an_image_above_the_novelty_is_new_and_others_are_not(classifier: Classifier) -> None:
    said = classifier.predict([flat(255), flat(100)])
    assert said.novelty == pytest.approx([2, 200 / 255], abs=1e-5)
    assert [row.unknown for row in said] == ["new", ""]
    assert [row.answer for row in said] == ["unknown", said[1].label]
    assert said[0].label in classifier.classes  # what it is most like is still told
    assert {row.unknown for row in classifier.predict([flat(255), flat(100)], max_novelty=3)} == {""}


def test_an_answer_that_is_less_sure_than_asked_is_unsure(classifier: Classifier) -> None:
    assert classifier.predict(flat(100), min_confidence=0.5)[0].unknown == "unsure"  # all three are as probable
    assert classifier.predict(flat(100), min_confidence=0.3)[0].unknown == ""


def test_auto_is_the_confidence_of_the_bundle() -> None:
    sure = Classifier.open(model_bytes(bundle(min_confidence=0.4).to_json()))
    assert sure.predict(flat(100), min_confidence="auto")[0].answer == "unknown"
    plain = Classifier.open(GOOD)
    with pytest.raises(InputError, match="no confidence keeps wrong answers below 5%"):
        plain.predict(flat(100), min_confidence="auto")


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), "high"])
def test_a_confidence_out_of_range_is_refused(classifier: Classifier, wrong: Any) -> None:
    with pytest.raises(InputError, match="least confidence"):
        classifier.predict(flat(100), min_confidence=wrong)


# -- other processes --------------------------------------------------------------------------------------------


def unpickle(data: bytes) -> Any:
    return pickle.loads(data)  # noqa: S301  (the test's own)


@pytest.mark.parametrize("by_path", [True, False])
@pytest.mark.parametrize("carry", [lambda x: unpickle(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_a_copy_answers_as_the_classifier_does(carry: Callable[[Any], Any], by_path: bool, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(GOOD)
    opened = Classifier.open(tmp_path if by_path else GOOD, threads=1)
    copied = carry(opened)
    squares = np.random.default_rng(0).integers(0, 255, (4, 6, 6, 3), np.uint8)
    np.testing.assert_array_equal(copied.answer(squares).probabilities, opened.answer(squares).probabilities)
    assert (copied.bundle, copied.digest, copied.path) == (opened.bundle, opened.digest, opened.path)
    assert carry(copied).classes == opened.classes


def test_by_a_path_only_the_path_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(GOOD)
    monkeypatch.chdir(tmp_path)
    carried = pickle.dumps(Classifier.open("model.onnx"))
    assert len(carried) < 1000
    monkeypatch.chdir("/")  # a worker may run elsewhere
    assert unpickle(carried).path == tmp_path / "model.onnx"


def test_another_file_at_the_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(GOOD)
    carried = pickle.dumps(Classifier.open(tmp_path))
    (tmp_path / "model.onnx").write_bytes(forged(lambda model: model.graph.initializer[1].float_data.__setitem__(0, 9)))
    with pytest.raises(ModelError, match="not the classifier any more") as caught:
        unpickle(carried)
    assert caught.value.code == "model.changed"


def test_spawned_processes_and_joblib_s_workers_predict(tmp_path: Path, files: list[Path]) -> None:
    from joblib import Parallel, delayed

    (tmp_path / "model.onnx").write_bytes(GOOD)
    opened = Classifier.open(tmp_path)
    wanted = [row.label for row in opened.predict(files)]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as workers:
        spawned = list(workers.map(opened.predict, [files[:4], files[4:]]))  # a bound method carries its object
    assert [row.label for part in spawned for row in part] == wanted
    parts = Parallel(n_jobs=2, backend="loky")(delayed(opened.predict)(part) for part in (files[:4], files[4:]))
    assert [row.label for part in parts for row in part] == wanted
