"""``model.any-size.onnx``: the one door's square inside the graph, and a proof from file bytes."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from sightline.api.exporting import convert
from sightline.errors import ExportMismatch, InputError
from sightline.exporting.any_size_format import AnySizeRunner, write_any_size
from sightline.exporting.doors import compare_doors, prove_door
from sightline.exporting.export import convert_classifier
from sightline.exporting.formats import find_format
from sightline.exporting.made_images import make_images
from sightline.exporting.shipped import Shipped
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier

SIZE = 24
SHAPES = [(24, 24), (30, 30), (97, 71), (71, 97), (300, 40), (33, 333), (1, 5), (2, 2), (24, 25), (211, 160), (23, 12)]


class Echo:
    """A network whose features are the pixels that it sees; the first of them is the probability of the first class."""

    exporters = ("echo",)

    def tensors(self):
        return {}

    def answer(self, squares):
        features = squares.reshape(len(squares), -1).astype(np.float32)
        first = features[:, :1] / 255
        return np.hstack([first, 1 - first]), features, np.zeros(len(squares), np.float32)

    def to_onnx(self, exporter, size):
        def constant(name, *values):
            return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)

        nodes = [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["floats"], ["features"], axis=1),
            helper.make_node("Slice", ["features", "zero", "one", "one"], ["column"]),
            helper.make_node("Mul", ["column", "share"], ["first"]),
            helper.make_node("Sub", ["whole", "first"], ["second"]),
            helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
            helper.make_node("Sub", ["column", "column"], ["nothing"]),
            helper.make_node("Squeeze", ["nothing", "one"], ["novelty"]),
        ]
        sides = {"probabilities": [2], "features": [3 * size**2], "novelty": []}
        graph = helper.make_graph(
            nodes,
            "echo",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["images", size, size, 3])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["images", *rest]) for name, rest in sides.items()],
            [
                constant("zero", 0),
                constant("one", 1),
                helper.make_tensor("whole", TensorProto.FLOAT, [1], [1.0]),
                helper.make_tensor("share", TensorProto.FLOAT, [1], [1 / 255]),
            ],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def bundle_of(**how) -> Bundle:
    preprocess = Preprocess(**{"size": SIZE, "resize": 27, **how})
    made = ("none", "none", "0" * 64, "0", "2026-11-22T00:00:00+00:00")
    return Bundle(("ant", "naïve <bee>"), preprocess, "echo", 3 * SIZE**2, *made)


def image_of(height: int, width: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(height * width).integers(low, high, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_the_graph_sees_what_the_one_door_makes(fit, interpolation, tmp_path):
    """Noise is the hardest content: the graph's pixels are Pillow's, but for the rounding of a few.

    It is grey enough for bicubic not to overshoot: where it does, Pillow clips after the pass that it makes first, and
    chooses that one by the shape.
    """
    bundle = bundle_of(fit=fit, interpolation=interpolation, background=(250, 130, 3))
    write_any_size(Echo(), bundle, tmp_path / "model.onnx", "echo")
    runner, off = AnySizeRunner(tmp_path / "model.onnx"), []
    for height, width in SHAPES:
        image = image_of(height, width, 60, 196)
        wanted = image if (height, width) == (SIZE, SIZE) else bundle.preprocess.apply(image)
        seen = runner.run(image)[1].reshape(SIZE, SIZE, 3)
        off.append(np.abs(seen - wanted.astype(np.float32)))
        assert off[-1].max() <= 1, (height, width)
    assert np.mean(off) < 0.05


def test_every_width_is_rounded_as_in_python(tmp_path):
    """One px more or less of the scaled image would shift the crop: that shows as more than rounding."""
    bundle = bundle_of(resize=32)
    write_any_size(Echo(), bundle, tmp_path / "model.onnx", "echo")
    runner = AnySizeRunner(tmp_path / "model.onnx")
    for width in range(33, 160, 3):
        image = np.repeat(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], 33, 0).repeat(3, 2)
        off = np.abs(runner.run(image)[1].reshape(SIZE, SIZE, 3) - bundle.preprocess.apply(image).astype(np.float32))
        assert off.max() <= 1, width


def test_what_has_the_networks_size_is_not_resized(tmp_path):
    write_any_size(Echo(), bundle_of(resize=40), tmp_path / "model.onnx", "echo")
    ready = image_of(SIZE, SIZE)
    assert (AnySizeRunner(tmp_path / "model.onnx").run(ready)[1].reshape(ready.shape) == ready).all()


def test_a_client_needs_the_file_alone(tmp_path):
    """onnxruntime by itself: one input of free sides, the outputs and the metadata of ``model.onnx``."""
    bundle = bundle_of()
    write_any_size(Echo(), bundle, tmp_path / "model.onnx", "echo")
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    ((name, kind, shape),) = [(one.name, one.type, one.shape) for one in session.get_inputs()]
    assert (name, kind, shape) == ("image", "tensor(uint8)", ["height", "width", 3])
    assert [one.name for one in session.get_outputs()] == ["probabilities", "features", "novelty"]
    assert json.loads(session.get_modelmeta().custom_metadata_map["sightline"])["classes"] == list(bundle.classes)


def test_a_filter_that_onnx_has_not_is_an_error_with_a_cure(tmp_path):
    with pytest.raises(ExportMismatch, match="ONNX has no lanczos resize") as caught:
        write_any_size(Echo(), bundle_of(interpolation="lanczos"), tmp_path / "model.onnx", "echo")
    assert "model.onnx" in caught.value.cure and not list(tmp_path.iterdir())


# -- the proof ------------------------------------------------------------------------------------------------------


def test_the_made_files_are_of_all_kinds():
    files = make_images(SIZE)
    opened = {name: Image.open(io.BytesIO(data)) for name, data in files.items()}
    assert {image.mode for image in opened.values()} >= {"1", "CMYK", "I;16", "L", "P", "RGB", "RGBA"}
    assert {image.getexif().get(0x0112) for image in opened.values()} >= {3, 6, 8}
    assert any(image.width % 2 and image.height % 2 for image in opened.values())
    assert make_images(SIZE) == files


class Other:
    """A file that is another network on some images."""

    def __init__(self, runner, change):
        self.runner, self.change = runner, change

    def run(self, image):
        probabilities, features, novelty = self.runner.run(image)
        return self.change(image, probabilities), features, novelty


def lead(image, probabilities):
    """Decide differently, by far, on what is not square."""
    return np.array([[0.9, 0.1]], np.float32) if image.shape[0] > image.shape[1] else probabilities


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    write_any_size(Echo(), bundle_of(), folder / "model.onnx", "echo")
    return AnySizeRunner(folder / "model.onnx")


def dark_first(name="x.png", shape=(60, 30)):
    """A file whose second value is the larger one by far."""
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[..., 1] = 200
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return {name: written.getvalue()}


def test_the_ways_from_file_bytes_are_compared(echo):
    squares = np.stack([image_of(SIZE, SIZE)])
    found = prove_door(Echo(), echo, bundle_of().preprocess, squares, [], make_images(SIZE))
    assert found.images == found.made == len(make_images(SIZE)) and found.equal >= found.images - 1
    assert found.max_difference < 0.05


@pytest.mark.parametrize("change", [lead, lambda image, said: said * np.nan, lambda image, said: said[:, ::-1]])
def test_a_file_that_decides_otherwise_is_withdrawn(change, echo):
    squares = np.stack([image_of(SIZE, SIZE)])
    with pytest.raises(ExportMismatch):
        prove_door(Echo(), Other(echo, change), bundle_of().preprocess, squares, [], dark_first())


def test_what_was_decided_differently_is_counted_and_named(echo):
    files = {**dark_first(), **dark_first("y", (9, 9))}
    found = compare_doors(Echo(), Other(echo, lead), bundle_of().preprocess, [], files)
    assert (found.images, found.equal, found.name) == (2, 1, "x.png") and found.widest > 0.7
    assert "1 of 2 images" in found.words()


def test_what_reduced_decoding_changes_is_measured_and_nothing_is_withdrawn_for_it(tmp_path):
    """One door decodes a large JPEG at an eighth; the first pixel, which decides here, comes out on the other side."""
    preprocess = bundle_of(fit="squash", draft=1).preprocess
    write_any_size(Echo(), bundle_of(fit="squash", draft=1), tmp_path / "model.onnx", "echo")
    runner = AnySizeRunner(tmp_path / "model.onnx")
    files = {}
    for seed in range(30):
        pixels = np.random.default_rng(seed).integers(0, 256, (8 * 27 + 5, 8 * 27 + 3, 3), dtype=np.uint8)
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, "JPEG", quality=95)
        files[f"{seed}.jpg"] = written.getvalue()
    found = prove_door(Echo(), runner, preprocess, np.stack([image_of(SIZE, SIZE)]), [], files)
    assert found.reduced == 30 and found.equal < 30 and found.widest < 0.1
    assert "30 of which predict decodes at a reduced size" in found.words()


# -- of a classifier that ships, without its run --------------------------------------------------------------------


def test_model_onnx_alone_is_enough(tiny_model, tmp_path):
    file = tmp_path / "elsewhere" / "model.onnx"
    file.parent.mkdir()
    shutil.copy(tiny_model, file)
    made = convert(file, "any-size", quiet=True)
    assert made.path == file.with_name("model.any-size.onnx")
    assert made.proof.door.made == made.proof.door.images == made.proof.door.equal > 10
    wanted = Classifier.open(file)
    photo = image_of(50, 40)
    said = AnySizeRunner(made.path).run(photo)[0]
    assert np.allclose(said, wanted.predict(photo).probabilities, atol=0.02)
    assert sorted(path.name for path in file.parent.iterdir()) == ["model.any-size.onnx", "model.onnx"]


def test_a_proved_file_survives_one_that_decides_otherwise(tiny_model, tmp_path):
    target = tmp_path / "model.any-size.onnx"
    target.write_bytes(b"the older one")

    def open_other(path):
        return Other(AnySizeRunner(path), lambda image, said: said[:, ::-1])

    bad = replace(find_format("any-size"), open=open_other)
    with pytest.raises(ExportMismatch):
        convert_classifier(Shipped.open(tiny_model), bad, target, [])
    assert target.read_bytes() == b"the older one" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["model.onnx", "photo.jpg", "."])
def test_no_other_file_is_replaced(name, tiny_model, tmp_path):
    file = tmp_path / "model.onnx"
    shutil.copy(tiny_model, file)
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="there already") as caught:
        convert(file, "any-size", out=tmp_path / name, quiet=True)
    assert caught.value.code == "export.output"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_format_of_the_network_needs_the_run(tiny_model, tmp_path):
    shutil.copy(tiny_model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="made of the trained network") as caught:
        convert(tmp_path, "pt2", quiet=True)
    assert caught.value.code == "export.needs-run"
