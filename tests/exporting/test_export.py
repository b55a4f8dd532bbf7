"""What ships says what was trained, or it does not ship."""

from __future__ import annotations

import ast
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

import sightline
from sightline.errors import DataError, ExportMismatch, InputError
from sightline.evaluation.abstain import fit_novelty
from sightline.evaluation.calibration import cool
from sightline.exporting.export import export_classifier
from sightline.exporting.formats import FORMATS, Format, find_format
from sightline.exporting.onnx_format import write_onnx
from sightline.exporting.parity import prove_parity, see_images
from sightline.exporting.proof import ParityProof
from sightline.networks import onnx_graph
from sightline.networks.network import Network
from sightline.networks.onnx_graph import EXPORTERS, Graph, trace_graph
from sightline.networks.small_resnet import SmallResnet
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier

BUNDLE = Bundle(
    classes=("ant", "bee", "naïve <wasp>"),
    preprocess=Preprocess(size=16, resize=20),
    model="small-fast",
    feature_size=128,
    weights="none",
    licence="none",
    data_fingerprint="0" * 64,
    sightline="0",
    created="2026-11-22T00:00:00+00:00",
)


def make_network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = Network(SmallResnet(16, 16, 1), 128, 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    network.train()(torch.rand(64, 3, 16, 16))  # batch norms with statistics other than 0 and 1
    return network.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Forty images of different shapes."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    paths = []
    for number in range(40):
        shape = (int(random.integers(10, 60)), int(random.integers(10, 60)), 3)
        paths.append(folder / f"{number}.png")
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def exported(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("run") / "classifier"
    network = make_network()
    (proof,) = export_classifier(Graph(network), BUNDLE, folder, files).values()
    return network, folder, proof


def test_the_file_says_what_the_network_says(exported, files):
    network, folder, _ = exported
    classifier = Classifier.open(folder)
    said = classifier.predict(files)
    squares = np.stack(list(classifier.squares(files)))
    images = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        assert np.allclose(said.probabilities, torch.softmax(network(images), 1).numpy(), atol=1e-5)
        assert np.allclose(said.features, network.features(images).numpy(), atol=1e-4)


def test_the_proof_counts_what_it_compared(exported):
    proof = exported[2]
    assert proof.images == 40 and proof.batch_sizes == (1, 3, 32)
    assert 0 <= proof.max_difference < 1e-5


def test_the_folder_holds_what_ships_and_nothing_else(exported):
    folder = exported[1]
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.onnx", "model.safetensors", "classifier.json", "classes.txt"}
    assert (folder / "classes.txt").read_text(encoding="utf-8").splitlines() == list(BUNDLE.classes)
    assert [path.name for path in folder.parent.iterdir()] == ["classifier"]


def test_the_file_is_valid_onnx_in_one_piece_with_the_bundle_inside(exported):
    model = onnx.load(exported[1] / "model.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert Bundle.from_json(metadata["sightline"], source="test") == BUNDLE
    beside = (exported[1] / "classifier.json").read_text(encoding="utf-8")
    assert json.loads(metadata["sightline"]) == json.loads(beside)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_images_is_a_batch(exported, count):
    session = onnxruntime.InferenceSession(str(exported[1] / "model.onnx"))
    pixels = np.random.default_rng(1).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    probabilities, features, novelty = session.run(["probabilities", "features", "novelty"], {"pixels": pixels})
    assert probabilities.shape == (count, 3) and features.shape == (count, 128) and novelty.shape == (count,)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_temperature_and_novelty_are_in_the_file(tmp_path, files, exporter):
    """Against numpy: the temperature on the probabilities of the plain file, the novelty on its features."""
    network, squares = make_network(), see_images(BUNDLE.preprocess, files)
    write_onnx(Graph(network), BUNDLE, tmp_path / "plain.onnx", "trace")
    plain, features, nothing = Classifier.open(tmp_path / "plain.onnx").run(squares)
    novelty = fit_novelty(features[:20], np.arange(20) % 2, 3, features[20:])  # one class is absent
    write_onnx(Graph(network, 2.5, novelty), BUNDLE, tmp_path / "calibrated.onnx", exporter)
    said, same, new = Classifier.open(tmp_path / "calibrated.onnx").run(squares)
    assert np.allclose(said, cool(plain, 2.5), atol=1e-5) and np.allclose(same, features, atol=1e-4)
    assert np.allclose(new, novelty.of(features), atol=2e-3 * max(1, new.max())) and new.max() > 0 and not nothing.any()


def test_a_novelty_that_differs_is_found(files):
    squares = see_images(BUNDLE.preprocess, files)
    features = make_network().features(torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255).detach().numpy()
    graph = Graph(make_network(), 1.0, fit_novelty(features, np.arange(len(features)) % 3, 3, features))
    with pytest.raises(ExportMismatch, match="novelty"):
        prove_parity(graph, Answers(lambda p: p), squares)  # which always says 0


def test_the_weights_that_ship_are_those_of_the_network(exported):
    from safetensors.torch import load_file

    network, folder, _ = exported
    shipped = load_file(folder / "model.safetensors")
    assert all(torch.equal(shipped[name], tensor) for name, tensor in network.state_dict().items())


def test_a_file_that_decides_otherwise_is_withdrawn_and_the_network_kept(tmp_path, files, monkeypatch):
    write_another(monkeypatch)
    with pytest.raises(ExportMismatch) as caught:
        export_classifier(Graph(make_network()), BUNDLE, tmp_path / "classifier", files)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "classifier" / "model.onnx").exists()
    assert (tmp_path / "classifier" / "model.safetensors").exists()


def test_a_network_that_cannot_be_exported_is_kept_too(tmp_path, files, monkeypatch):
    def fail(*arguments, **more):
        raise RuntimeError("unsupported operator")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ExportMismatch, match="unsupported operator"):
        export_classifier(Graph(make_network()), BUNDLE, tmp_path / "classifier", files)
    assert (tmp_path / "classifier" / "model.safetensors").exists()


def write_another(monkeypatch) -> None:
    """Let every writer of ``model.onnx`` write another network than it is given."""

    def write(graph, bundle, path, exporter):
        write_onnx(Graph(make_network(seed=1)), bundle, path, exporter)

    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], write=write))


class Answers:
    """A classifier that gives prepared answers."""

    preprocess = BUNDLE.preprocess

    def __init__(self, change):
        self.network, self.change = make_network(), change

    def run(self, pixels):
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        return (
            self.change(torch.softmax(logits, 1).numpy().copy()),
            np.zeros((len(pixels), 1)),
            np.zeros(len(pixels), np.float32),
        )


def test_the_quick_exporter_makes_what_the_slow_one_makes(tmp_path, exported, files):
    network = exported[0]
    squares = see_images(BUNDLE.preprocess, files)
    said = []
    for exporter in EXPORTERS:
        write_onnx(Graph(network), BUNDLE, tmp_path / f"{exporter}.onnx", exporter)
        model = onnx.load(tmp_path / f"{exporter}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert not [node for node in model.graph.node if node.domain not in ("", "ai.onnx")]
        assert [entry.key for entry in model.metadata_props if entry.key == "sightline"] == ["sightline"]
        said.append(Classifier.open(tmp_path / f"{exporter}.onnx").run(squares))
    for quick, slow in zip(*said, strict=True):
        assert np.allclose(quick, slow, atol=1e-5)
    assert exported[2].exporter == "trace"


def refuse_trace(real):
    """Return torch without its older exporter."""

    def export(*arguments, **more):
        if more["dynamo"] is False:
            raise TypeError("there is no such exporter any more")
        return real(*arguments, **more)

    return export


def test_without_the_older_exporter_the_newer_one_makes_the_file(tmp_path, files, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", refuse_trace(torch.onnx.export))
    proof = export_classifier(Graph(make_network()), BUNDLE, tmp_path / "classifier", files)["onnx"]
    assert proof.exporter == "export" and Classifier.open(tmp_path / "classifier").classes == BUNDLE.classes


@pytest.mark.parametrize("wrong", ["weights", "batch", "cut off"])
def test_a_traced_file_that_is_wrong_is_made_again(wrong, tmp_path, files, monkeypatch):
    """Whatever is wrong with the quick file, the proof finds it, and the slow one is shipped."""
    real = onnx_graph.trace_graph

    def trace(network, size):
        if wrong == "weights":
            return real(Graph(make_network(seed=1)), size)
        model = onnx.load_model_from_string(real(network, size))
        if wrong == "batch":  # as where a trace takes the example's two images for a constant
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
        else:
            del model.graph.node[len(model.graph.node) // 2 :]
        return model.SerializeToString()

    monkeypatch.setattr(onnx_graph, "trace_graph", trace)
    network = make_network()
    proof = export_classifier(Graph(network), BUNDLE, tmp_path / "classifier", files)["onnx"]
    assert proof.exporter == "export" and proof.max_difference < 1e-5


def test_the_network_is_left_as_it_was_by_a_trial(files):
    network = make_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert trace_graph(Graph(network), 16)
    assert network.training and all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_one_wrong_decision_among_many_is_found(files):
    def change(probabilities):
        if len(probabilities) == 3:
            probabilities[1] = np.roll(probabilities[1], 1)
        return probabilities

    with pytest.raises(ExportMismatch, match="batch size 3"):
        prove_parity(Graph(make_network()), Answers(change), see_images(BUNDLE.preprocess, files))


def test_an_answer_that_is_no_number_is_found(files):
    with pytest.raises(ExportMismatch):
        prove_parity(Graph(make_network()), Answers(lambda p: p * np.nan), see_images(BUNDLE.preprocess, files))


def test_a_probability_that_is_off_is_found_though_it_decides_the_same(files):
    def change(probabilities):
        sharper = probabilities**2
        return sharper / sharper.sum(1, keepdims=True)

    with pytest.raises(ExportMismatch, match="largest difference"):
        prove_parity(Graph(make_network()), Answers(change), see_images(BUNDLE.preprocess, files))


def test_without_an_image_nothing_is_proved_and_nothing_replaced(tmp_path, exported):
    import shutil

    folder = shutil.copytree(exported[1], tmp_path / "classifier")
    with pytest.raises(DataError, match="none of the images"):
        export_classifier(Graph(make_network()), BUNDLE, folder, [tmp_path / "gone.png"])
    assert (folder / "model.onnx").is_file()


def test_a_proved_file_survives_an_export_that_differs(tmp_path, files, exported, monkeypatch):
    import shutil

    folder = shutil.copytree(exported[1], tmp_path / "classifier")
    before = (folder / "model.onnx").read_bytes()
    write_another(monkeypatch)
    with pytest.raises(ExportMismatch):
        export_classifier(Graph(make_network()), BUNDLE, folder, files)
    assert (folder / "model.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["classifier"]


def test_unreadable_images_are_passed_over(files, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    assert len(see_images(BUNDLE.preprocess, [broken, *files])) == 40


# -- formats ----------------------------------------------------------------------------------------------------


UNPROVED = {"coreml"}  # nothing runs it here
if find_spec("litert_torch") is None:  # it refuses the torch that the tests have
    UNPROVED.add("tflite")
SQUARES = [name for name, format in FORMATS.items() if format.takes == "squares" and name not in UNPROVED | {"hf"}]


@pytest.mark.parametrize("name", SQUARES)
def test_each_format_is_proved_and_takes_any_number_of_images(name, files, tmp_path):
    """Against the network itself, with a temperature and a novelty; a class is absent."""
    squares, network = see_images(BUNDLE.preprocess, files), make_network()
    features = network.features(torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255).detach().numpy()
    novelty = fit_novelty(features[:20], np.arange(20) % 2, 3, features[20:])
    logits = features @ network.head.weight.detach().numpy().T + network.head.bias.detach().numpy()
    wanted = cool(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 2.5)
    graph = Graph(network, 2.5, novelty)
    for exporter in FORMATS[name].exporters(graph):
        path = tmp_path / f"{exporter} {FORMATS[name].file}"
        FORMATS[name].write(graph, BUNDLE, path, exporter)
        for count in (1, 2, 40):
            said, seen, new = FORMATS[name].open(path).run(squares[:count])
            assert np.allclose(said, wanted[:count], atol=1e-5) and np.allclose(seen, features[:count], atol=1e-4)
            assert np.allclose(new, novelty.of(features)[:count], atol=2e-3 * max(1, novelty.of(features).max()))


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in UNPROVED | {"web"}])  # it has its own tests
def test_each_format_ships_beside_the_first_one(name, files, tmp_path):
    formats = list(dict.fromkeys(["onnx", name]))
    proofs = export_classifier(Graph(make_network()), BUNDLE, tmp_path / "classifier", files, formats)
    assert list(proofs) == formats
    assert all(proof.images == 40 + (proof.door.made if proof.door else 0) for proof in proofs.values())
    assert {FORMATS[each].file for each in formats} < {path.name for path in (tmp_path / "classifier").iterdir()}


# coremltools leaves a temporary folder to its process's end, with a warning: it has one of its own.
_PACKAGE = """
import json, sys, coremltools
model = coremltools.models.MLModel(sys.argv[1], skip_model_load=True)
said = model.get_spec().description
print(model.user_defined_metadata["sightline"])
print(json.dumps([[one.name for one in said.output], [[one.name, one.type.imageType.width] for one in said.input]]))
"""
_WRITING = """
import sys
from pathlib import Path
from sightline.exporting.export import export_classifier
from sightline.networks.onnx_graph import Graph
from test_export import BUNDLE, make_network
folder, *files = map(Path, sys.argv[1:])
proof = export_classifier(Graph(make_network()), BUNDLE, folder, files, ["onnx", "coreml"])["coreml"]
print(proof.to_dict())
print(proof.words())
"""


@pytest.mark.skipif(platform.system() == "Darwin", reason="a Mac runs and proves it")
def test_what_can_not_be_run_here_is_written_and_called_unproved(files, tmp_path):
    """Core ML: the package is whole, its model has the steps' inputs and outputs, and nobody calls it proved."""
    here = os.pathsep.join([str(Path(__file__).parent), str(Path(sightline.__file__).parents[1])])
    command = [sys.executable, "-c", _WRITING + _PACKAGE.replace("sys.argv[1]", "str(folder / 'model.mlpackage')")]
    more = {"env": {**os.environ, "PYTHONPATH": here}, "capture_output": True, "text": True, "check": True}
    ran = subprocess.run([*command, str(tmp_path / "classifier"), *map(str, files[:8])], **more)
    fields, words, *bundle, said = ran.stdout.splitlines()
    proof = ParityProof.from_dict({**ast.literal_eval(fields), "file": "x"})
    assert proof.images == 0 and words == proof.words()
    assert words.startswith("NOT PROVED: Core ML runs on a Mac alone")
    assert Bundle.from_json("\n".join(bundle), source="test") == BUNDLE
    assert json.loads(said) == [["probabilities", "features", "novelty"], [["image", 16]]]


def test_a_further_format_that_decides_otherwise_is_withdrawn_and_the_first_one_kept(files, tmp_path, monkeypatch):
    def write(graph, bundle, path, exporter):
        write_onnx(Graph(make_network(seed=1)), bundle, path, exporter)

    other = Format("other", "model.other", "train", lambda graph: ["trace"], write, Classifier.open)
    monkeypatch.setitem(FORMATS, "other", other)
    for _ in range(2):  # where there is no classifier yet, and where there is one
        results = export_classifier(Graph(make_network()), BUNDLE, tmp_path / "classifier", files, ["onnx", "other"])
        assert results["onnx"].images == 40 and isinstance(results["other"], ExportMismatch)
        names = {path.name for path in (tmp_path / "classifier").iterdir()}
        assert names == {"model.onnx", "model.safetensors", "classifier.json", "classes.txt"}


def test_a_format_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="no export format 'onxx'") as caught:
        find_format("onxx")
    assert caught.value.code == "export.format" and "did you mean 'onnx'?" in caught.value.cure


def test_flat_colours_give_a_classifier(tmp_path):
    """Swatches of two colours: features hardly vary within a class, and what rounding does is no novelty."""
    random = np.random.default_rng(0)
    colours = np.array([[250, 240, 160], [40, 40, 50]])[np.arange(60) % 2] + random.integers(-8, 9, (60, 3))
    squares = np.repeat(np.repeat(colours[:, None, None], 16, 1), 16, 2).clip(0, 255).astype(np.uint8)
    network = make_network()
    features = network.features(torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255).detach().numpy()
    graph = Graph(network, 1.0, fit_novelty(features[:10], np.arange(10) % 2, 3, features[10:]))
    write_onnx(graph, BUNDLE, tmp_path / "model.onnx", EXPORTERS[0])
    assert prove_parity(graph, Classifier.open(tmp_path / "model.onnx"), squares).images == 60


def test_a_network_that_answers_nan_does_not_ship(tmp_path, files):
    network = make_network()
    with torch.no_grad():
        network.head.weight.fill_(float("nan"))
    with pytest.raises(ExportMismatch, match="not finite"):
        export_classifier(Graph(network), BUNDLE, tmp_path / "classifier", files)
    assert not (tmp_path / "classifier" / "model.onnx").exists()
