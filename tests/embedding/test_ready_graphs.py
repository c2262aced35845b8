"""Ready ONNX graphs run as they are, and give their makers' features; those that want other inputs are refused."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from clipwright.checkpoints.layouts import LayoutName
from clipwright.checkpoints.load import load_model
from clipwright.checkpoints.model_file import save_model
from clipwright.checkpoints.ready_graphs import ReadyGraphs, read_ready_graphs
from clipwright.embedding.backends import onnx as runtime
from clipwright.embedding.backends.onnx import open_file
from clipwright.embedding.backends.ready_graphs import ReadyGraphsBackend
from clipwright.embedding.embedder import unit_rows
from clipwright.embedding.load import BackendChoice, PrecisionChoice, embedder_from, load_embedder
from clipwright.errors import CheckpointError, ClipwrightError, MissingExtraError
from tests.checkpoints.peers import STUB, run_peer
from tests.graph_folders import (
    IMMICH,
    OPEN,
    Shape,
    as_openvino,
    graph_checkpoint,
    graph_folder,
    image_model,
    reference_folder,
    text_model,
    write_graph,
    write_joint,
    write_pair,
)
from tests.reference import LAYOUTS, answers, reference_checkpoint
from tests.support import REFERENCE, equal_to_reference, run_cli

TEXTS = ["a photo of a cat", "a red car in the street", "dog"]


def features_are_the_makers(backend: ReadyGraphsBackend, layout: str) -> bool:
    theirs = answers(layout)
    ends = (theirs.ids == reference_checkpoint(layout).spec.end_id).argmax(axis=1)
    images, texts = backend.image_features(theirs.pixels), backend.text_features(theirs.ids, ends)
    return equal_to_reference(unit_rows(images), unit_rows(theirs.image_features)) and equal_to_reference(
        unit_rows(texts), unit_rows(theirs.text_features)
    )


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if not layout.endswith(".pt")])
def test_graphs_give_the_features_of_their_makers(tmp_path: Path, layout: str) -> None:
    repository = read_ready_graphs(reference_folder(tmp_path, layout))
    theirs, backend = answers(layout), ReadyGraphsBackend(repository)
    ends = (theirs.ids == reference_checkpoint(layout).spec.end_id).argmax(axis=1)
    images, texts = backend.image_features(theirs.pixels), backend.text_features(theirs.ids, ends)
    if theirs.unit:
        images, texts = unit_rows(images), unit_rows(texts)
    assert equal_to_reference(images, theirs.image_features)
    assert equal_to_reference(texts, theirs.text_features)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if not layout.endswith(".pt")])
def test_inputs_are_prepared_as_for_the_weights(tmp_path: Path, layout: str) -> None:
    repository, checkpoint = read_ready_graphs(reference_folder(tmp_path, layout)), reference_checkpoint(layout)
    assert repository.spec == checkpoint.spec
    assert repository.tokenizer == checkpoint.tokenizer
    assert (repository.embed_dim, repository.scores) == (checkpoint.config.embed_dim, checkpoint.config.scores)


@pytest.mark.parametrize(
    ("weight", "tower"), [("text.projection.weight", "text"), ("vision.projection.weight", "image")]
)
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_graph_with_broken_weights_answers_nothing(tmp_path: Path, weight: str, tower: str, runtime: str) -> None:
    folder, checkpoint = graph_folder(tmp_path), graph_checkpoint()
    weights = {**checkpoint.weights, weight: np.full(checkpoint.weights[weight].shape, np.nan, np.float32)}
    checkpoint = replace(checkpoint, weights=weights)
    write_graph(folder / "onnx/vision_model.onnx", image_model(checkpoint, ("pixel_values", "image_embeds")))
    write_graph(folder / "onnx/text_model.onnx", text_model(checkpoint, ("input_ids", "text_embeds")))
    if runtime == "openvino":
        as_openvino(folder, *((f"onnx/{part}_model.onnx", f"openvino_model_{part}.xml") for part in ("vision", "text")))
    photo = REFERENCE / "pictures" / "rocket.jpg"
    answer = run_cli("similarity", photo, "--texts", "a cat, a dog", "--model", folder)
    assert (answer.status, answer.stdout) == (2 if tower == "text" else 1, "")
    assert "is no vector: all of its numbers are 0, or some are not finite" in answer.stderr


TRANSFORMERS = """
import sys, warnings, torch
from pathlib import Path
from transformers import AutoModel
warnings.simplefilter("ignore")
source, folder = sys.argv[1:]
model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
siglip = model.config.model_type == "siglip"

class Image(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = model.vision_model
        self.projection = torch.nn.Identity() if siglip else model.visual_projection
    def forward(self, pixel_values):
        whole = self.tower(pixel_values=pixel_values)
        return self.projection(whole.pooler_output), whole.last_hidden_state

class Text(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = model.text_model
        self.projection = torch.nn.Identity() if siglip else model.text_projection
    def forward(self, input_ids):
        whole = self.tower(input_ids=input_ids)
        return self.projection(whole.pooler_output), whole.last_hidden_state

(Path(folder) / "onnx").mkdir(parents=True)
side, length = model.config.vision_config.image_size, model.config.text_config.max_position_embeddings
for tower, name, given, called, output in (
    (Image(), "vision", torch.randn(2, 3, side, side), "pixel_values", "image_embeds"),
    (Text(), "text", torch.ones(2, length, dtype=torch.int64), "input_ids", "text_embeds"),
):
    axes = {called: {0: "batch"} if name == "vision" else {0: "batch", 1: "length"}}
    outputs = ["pooler_output" if siglip else output, "last_hidden_state"]
    torch.onnx.export(tower, (given,), f"{folder}/onnx/{name}_model.onnx", input_names=[called], output_names=outputs,
                      dynamic_axes=axes, opset_version=17, dynamo=False)
"""
OPTIMUM = """
import sys, torch
from pathlib import Path
from transformers import AutoModel
source, folder = sys.argv[1:]
model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()
siglip = model.config.model_type == "siglip"

class Both(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model
    def forward(self, input_ids, pixel_values, attention_mask):
        whole = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return whole.logits_per_image, whole.logits_per_text, whole.text_embeds, whole.image_embeds

Path(folder).mkdir()
side, length = model.config.vision_config.image_size, model.config.text_config.max_position_embeddings
ids = torch.ones(3, length, dtype=torch.int64)
given = {"input_ids": ids, "pixel_values": torch.randn(2, 3, side, side), "attention_mask": ids}
axes = {name: {0: "image_batch" if name == "pixel_values" else "text_batch"} for name in given}
axes |= {name: axes[name] | {1: "length"} for name in ("input_ids", "attention_mask") if not siglip}
outputs = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
torch.onnx.export(Both(), tuple(given.values()), f"{folder}/model.onnx", input_names=list(given), output_names=outputs,
                  dynamic_axes=axes, opset_version=17, dynamo=False)
"""
"""As 'optimum-cli export onnx' writes both towers as one graph."""
OPEN_CLIP = f"""{STUB}
import json, warnings
from pathlib import Path
import open_clip
warnings.simplefilter("ignore")
torch.backends.mha.set_fastpath_enabled(False)
source, folder = sys.argv[1:]
model = open_clip.create_model("local-dir:" + source).eval()

class Tower(torch.nn.Module):
    def __init__(self, encode):
        super().__init__()
        self.model, self.encode = model, encode
    def forward(self, given):
        return self.encode(given, normalize=True)

preprocess = open_clip.get_model_preprocess_cfg(model)
side, length = torch.tensor(preprocess["size"]).max().item(), model.context_length
for encode, name, given, called in (
    (model.encode_image, "visual", torch.randn(1, 3, side, side), "image"),
    (model.encode_text, "textual", torch.ones(1, length, dtype=torch.int32), "text"),
):
    (Path(folder) / name).mkdir(parents=True)
    torch.onnx.export(Tower(encode), (given,), f"{{folder}}/{{name}}/model.onnx", input_names=[called],
                      output_names=["embedding"], opset_version=17, dynamo=False)
(Path(folder) / "visual/preprocess_cfg.json").write_text(json.dumps(preprocess))
config = json.loads((Path(source) / "open_clip_config.json").read_text())["model_cfg"]
(Path(folder) / "config.json").write_text(json.dumps(config))
"""


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("layout", ["hf-clip", "hf-siglip"])
def test_one_graph_that_torch_exports_of_the_makers_model_gives_its_features(
    tmp_path: Path, layout: str, runtime: str
) -> None:
    folder = tmp_path / "graphs"
    run_peer(OPTIMUM, REFERENCE / layout, folder)
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copyfile(REFERENCE / layout / name, folder / name)
    if runtime == "openvino":
        as_openvino(folder, ("model.onnx", "openvino_model.xml"))
    backend = ReadyGraphsBackend(read_ready_graphs(folder))
    assert backend.name == runtime
    assert features_are_the_makers(backend, layout)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["hf-clip", "hf-clip-eos2", "hf-siglip", "openclip-vit-quickgelu", "openclip-rn"])
def test_graphs_that_torch_exports_from_the_makers_code_give_its_features(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "graphs"
    run_peer(TRANSFORMERS if layout.startswith("hf-") else OPEN_CLIP, REFERENCE / layout, folder)
    for name in ("config.json", "preprocessor_config.json") if layout.startswith("hf-") else ():
        shutil.copyfile(REFERENCE / layout / name, folder / name)
    repository = read_ready_graphs(folder)
    assert repository.spec == reference_checkpoint(layout).spec
    assert features_are_the_makers(ReadyGraphsBackend(repository), layout)


SHAPES = {
    "any batch and length": OPEN,
    "one by one": Shape(batch=1),
    "as Immich": IMMICH,
    "padded": Shape(length=16),
    "int32": Shape(ids=TensorProto.INT32),
    "masked": Shape(masked=True),
    "masked, as Immich": replace(IMMICH, masked=True),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("layout", ["transformers.js", "immich"])
def test_graphs_of_every_shape_give_the_vectors_of_the_weights(
    tmp_path: Path, photo: Path, layout: LayoutName, shape: Shape
) -> None:
    ready = load_embedder(graph_folder(tmp_path, layout, shape=shape))
    made = embedder_from(graph_checkpoint(layout), "tiny")
    assert np.abs(ready.embed_texts(TEXTS) - made.embed_texts(TEXTS)).max() < 1e-5
    assert np.abs(ready.embed_images([photo] * 3) - made.embed_images([photo] * 3)).max() < 1e-5
    assert (ready.scale, ready.bias, ready.backend, ready.variant) == (100, None, "onnx", "exact-fp32")


def test_halves_are_given_where_a_graph_asks_for_them(tmp_path: Path, photo: Path) -> None:
    shape = Shape(pixels=TensorProto.FLOAT16)
    ready, made = load_embedder(graph_folder(tmp_path, shape=shape)), embedder_from(graph_checkpoint(), "tiny")
    vectors = ready.embed_images([photo])
    assert vectors.dtype == np.float32
    assert np.abs(vectors - made.embed_images([photo])).max() < 2e-3


def test_a_tower_that_sees_its_padding_sees_it_through_a_mask_too(tmp_path: Path) -> None:
    folder, checkpoint = reference_folder(tmp_path, "hf-siglip"), reference_checkpoint("hf-siglip")
    masked = text_model(checkpoint, ("input_ids", "pooler_output"), Shape(masked=True))
    write_graph(folder / "onnx/text_model.onnx", masked)
    theirs, backend = answers("hf-siglip"), ReadyGraphsBackend(read_ready_graphs(folder))
    ours = backend.text_features(theirs.ids, np.full(len(theirs.ids), 3))
    assert equal_to_reference(unit_rows(ours), theirs.text_features)


def test_nothing_in_gives_nothing_out(tmp_path: Path) -> None:
    for number, shape in enumerate((OPEN, IMMICH)):
        backend = ReadyGraphsBackend(read_ready_graphs(graph_folder(tmp_path / str(number), shape=shape)))
        assert backend.image_features(np.zeros((0, 3, 32, 32), np.float32)).shape == (0, 16)
        assert backend.text_features(np.zeros((0, 5), np.int64), np.zeros(0, np.int64)).shape == (0, 16)


def test_large_tensors_beside_the_graphs_are_found(tmp_path: Path, photo: Path) -> None:
    folder = graph_folder(tmp_path, external=True)
    graph, data = (folder / "onnx" / name for name in ("vision_model.onnx", "vision_model.onnx_data"))
    assert data.stat().st_size > graph.stat().st_size
    ready, made = load_embedder(folder), embedder_from(graph_checkpoint(), "tiny")
    assert np.abs(ready.embed_images([photo]) - made.embed_images([photo])).max() < 1e-5
    assert np.abs(ready.embed_texts(TEXTS) - made.embed_texts(TEXTS)).max() < 1e-5


@pytest.mark.parametrize("layout", ["transformers.js", "immich"])
def test_classify_gives_the_labels_of_the_weights(tmp_path: Path, photo: Path, layout: LayoutName) -> None:
    checkpoint = graph_checkpoint(layout)
    scale = np.log(np.float32(100))
    save_model(tmp_path / "made.safetensors", replace(checkpoint, weights={**checkpoint.weights, "logit_scale": scale}))
    models = graph_folder(tmp_path / "ready", layout), tmp_path / "made.safetensors"
    ready, made = (run_cli("classify", photo, "--labels", "cat, dog, red car", "--model", model) for model in models)
    assert (ready.status, ready.stderr, ready.stdout) == (0, "", made.stdout)
    assert ready.stdout


# Other ways to lay graphs out


@pytest.mark.parametrize("layout", ["hf-clip", "hf-clip-eos2", "hf-siglip"])
@pytest.mark.parametrize(
    "shape", [OPEN, Shape(batch=1, length=16), Shape(masked=True)], ids=["open", "fixed", "masked"]
)
def test_one_graph_of_both_towers_gives_the_features_of_its_maker(tmp_path: Path, layout: str, shape: Shape) -> None:
    graphs = read_ready_graphs(write_joint(tmp_path, reference_checkpoint(layout), REFERENCE / layout, shape))
    assert graphs.image == graphs.text
    assert graphs.files.count(graphs.image) == 1
    assert features_are_the_makers(ReadyGraphsBackend(graphs), layout)


def test_one_graph_is_opened_once_for_both_towers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def noted(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
        opened.append(path)
        return open_file(path, threads)

    monkeypatch.setattr(runtime, "open_file", noted)
    folder = write_joint(tmp_path, reference_checkpoint("hf-clip"), REFERENCE / "hf-clip")
    assert features_are_the_makers(ReadyGraphsBackend(read_ready_graphs(folder)), "hf-clip")
    assert opened == [folder / "model.onnx"]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("layout", ["hf-clip", "hf-siglip"])
def test_two_repositories_with_a_tower_each_are_a_model(tmp_path: Path, layout: str, swapped: bool) -> None:
    pair = write_pair(tmp_path / "vision", tmp_path / "text", reference_checkpoint(layout), REFERENCE / layout)
    graphs = load_model("+".join(map(str, reversed(pair) if swapped else pair)))
    assert isinstance(graphs, ReadyGraphs)
    assert graphs.spec == reference_checkpoint(layout).spec
    assert features_are_the_makers(ReadyGraphsBackend(graphs), layout)


@pytest.mark.parametrize(
    ("layout", "place"), [("hf-clip", "openvino_model.xml"), ("hf-siglip", "openvino/openvino_model.xml")]
)
def test_graphs_of_openvinos_give_the_features_of_their_maker(tmp_path: Path, layout: str, place: str) -> None:
    folder = write_joint(tmp_path, reference_checkpoint(layout), REFERENCE / layout)
    graphs = read_ready_graphs(as_openvino(folder, ("model.onnx", place)))
    assert graphs.external == ((tmp_path / place).with_suffix(".bin"),)
    backend = ReadyGraphsBackend(graphs)
    assert (backend.name, backend.precision) == ("openvino", "fp32")
    assert features_are_the_makers(backend, layout)


def test_graphs_of_openvinos_may_have_openclips_config(tmp_path: Path) -> None:
    layout = "openclip-vit-gelu"
    checkpoint = reference_checkpoint(layout)
    write_graph(tmp_path / "image.onnx", image_model(checkpoint, ("x", "image_features")))
    write_graph(tmp_path / "text.onnx", text_model(checkpoint, ("text", "text_features")))
    as_openvino(tmp_path, ("image.onnx", "openvino_model_vision.xml"), ("text.onnx", "openvino_model_text.xml"))
    shutil.copyfile(REFERENCE / layout / "open_clip_config.json", tmp_path / "open_clip_config.json")
    graphs = read_ready_graphs(tmp_path)
    assert graphs.spec == checkpoint.spec
    assert features_are_the_makers(ReadyGraphsBackend(graphs), layout)


def test_without_openvino_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_joint(tmp_path, reference_checkpoint("hf-clip"), REFERENCE / "hf-clip")
    graphs = read_ready_graphs(as_openvino(folder, ("model.onnx", "openvino_model.xml")))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"openvino_model.xml', which is OpenVINO's, needs the 'openvino' extra"
    ):
        ReadyGraphsBackend(graphs).image_features(np.zeros((1, 3, 64, 64), np.float32))


def variant_folder(folder: Path, variant: str, *, beside: bool = False) -> Path:
    """Graphs that are called so, beside those of the original or alone."""
    graph_folder(folder)
    for tower in ("vision", "text"):
        path = folder / "onnx" / f"{tower}_model.onnx"
        shutil.copyfile(path, path.with_stem(f"{tower}_model_{variant}"))
        if not beside:
            path.unlink()
    return folder


@pytest.mark.parametrize("variant", ["quantized", "fp16", "uint8", "q4f16", "made_smaller"])
def test_a_variant_alone_is_used_and_said(
    tmp_path: Path, photo: Path, caplog: pytest.LogCaptureFixture, variant: str
) -> None:
    ready, made = load_embedder(variant_folder(tmp_path, variant)), embedder_from(graph_checkpoint(), "tiny")
    assert np.abs(ready.embed_images([photo]) - made.embed_images([photo])).max() < 1e-5
    assert np.abs(ready.embed_texts(TEXTS) - made.embed_texts(TEXTS)).max() < 1e-5
    assert ready.variant == f"exact-{variant}"
    (record,) = caplog.records
    assert record.message.endswith(
        f"holds no graphs in full precision; onnx/vision_model_{variant}.onnx and onnx/text_model_{variant}.onnx run"
        " instead"
    )
    answer = run_cli("info", tmp_path, "--json")
    assert json.loads(answer.stdout)["precision"] == variant


def test_a_variant_that_is_asked_for_is_used_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = variant_folder(tmp_path, "quantized", beside=True)
    assert load_embedder(folder).variant == "exact-fp32"
    assert load_embedder(f"{folder}:quantized").variant == "exact-quantized"
    assert caplog.text == ""
    with pytest.raises(CheckpointError, match=r"no graphs that are called 'q4'; found 8 files"):
        load_embedder(f"{folder}:q4")


def test_it_is_said_that_a_siglip_lacks_its_scale(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        embedder = load_embedder(reference_folder(tmp_path, "hf-siglip"))
    (record,) = caplog.records
    assert "not SigLIP's scale and bias: classify's probabilities are shares among the labels" in record.message
    assert (embedder.scale, embedder.bias) == (100, None)


# What is refused


@pytest.mark.parametrize(
    ("backend", "precision", "option"),
    [
        ("torch", "fp32", "--backend torch"),
        ("openvino", "fp32", "--backend openvino"),
        (None, "int8", "--precision int8"),
        ("onnx", "bf16", "--precision bf16"),
    ],
)
def test_another_backend_or_precision_is_refused_by_name(
    tmp_path: Path, backend: BackendChoice | None, precision: PrecisionChoice, option: str
) -> None:
    with pytest.raises(ClipwrightError, match=f"run as they are, on ONNX Runtime; leave out {option}"):
        load_embedder(graph_folder(tmp_path), backend=backend, precision=precision)


def test_what_is_left_to_the_machine_is_what_the_graphs_are(tmp_path: Path) -> None:
    embedder = load_embedder(graph_folder(tmp_path), backend="auto", precision="auto", pixels="fast")
    assert (embedder.backend, embedder.variant) == ("onnx", "fast-fp32")
    with pytest.raises(ClipwrightError, match="leave out --compile"):
        load_embedder(tmp_path, compiled=True)


def only_input(model: onnx.ModelProto, element: int, shape: list[int | str]) -> onnx.ModelProto:
    (given,) = model.graph.input
    given.CopyFrom(helper.make_tensor_value_info(given.name, element, shape))
    return model


def with_input(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]))
    return model


def image(name: str = "pixel_values", output: str = "image_embeds", shape: Shape = OPEN) -> onnx.ModelProto:
    return image_model(graph_checkpoint(), (name, output), shape)


def text(name: str = "input_ids", output: str = "text_embeds", shape: Shape = OPEN) -> onnx.ModelProto:
    return text_model(graph_checkpoint(), (name, output), shape)


def with_second_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 16]))
    (first, second) = model.graph.output
    assert first.name == name
    first.name, second.name = "unknown", "features"
    model.graph.node[-1].output[0] = "unknown"
    return model


def raw_pixels() -> onnx.ModelProto:
    """With preprocessing inside: (B, S, S, 3) bytes."""
    model = image()
    node = helper.make_node("Transpose", ["bytes"], ["pixel_values"], perm=[0, 3, 1, 2])
    model.graph.node.insert(0, node)
    model.graph.input[0].name = "bytes"
    return only_input(model, TensorProto.UINT8, ["batch", 32, 32, 3])


def not_pooled() -> onnx.ModelProto:
    model = text()
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    model.graph.node.append(helper.make_node("Constant", [], ["axes"], value=axes))
    model.graph.node.append(helper.make_node("Unsqueeze", ["text_embeds", "axes"], ["last_hidden_state"]))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", 1, 16])
    )
    return model


REFUSED: dict[str, tuple[str, Callable[[], onnx.ModelProto], str]] = {
    "bytes": (
        "vision",
        raw_pixels,
        "wants bytes (?, 32, 32, 3) uint8; expected is one input of floats (B, 3, 32, 32)",
    ),
    "another size": (
        "vision",
        lambda: only_input(image(), TensorProto.FLOAT, ["batch", 3, 64, 64]),
        "wants pixel_values (?, 3, 64, 64) float; expected is one input of floats (B, 3, 32, 32)",
    ),
    "batches of four": (
        "vision",
        lambda: only_input(image(), TensorProto.FLOAT, [4, 3, 32, 32]),
        "wants pixel_values (4, 3, 32, 32) float; expected is one input of floats (B, 3, 32, 32)",
    ),
    "more than pixels": (
        "vision",
        lambda: with_input(image(), "boxes"),
        "wants pixel_values (?, 3, 32, 32) float and boxes (?, 4) float; expected is one input of floats",
    ),
    "of a picture, before the projection": (
        "vision",
        lambda: image(output="pooler_output"),
        "gives pooler_output (?, 16) float; expected is image_embeds of floats (B, 16)",
    ),
    "two unknown outputs": (
        "vision",
        lambda: with_second_output(image(), "image_embeds"),
        "gives unknown (?, 16) float and features (?, 16) float; expected is image_embeds of floats (B, 16)",
    ),
    "ids as floats": (
        "text",
        lambda: only_input(text(), TensorProto.FLOAT, ["batch", "length"]),
        "wants input_ids (?, ?) float; expected is input_ids or text of integers (B, 16), beside it at most",
    ),
    "another context": (
        "text",
        lambda: only_input(text(), TensorProto.INT64, ["batch", 77]),
        "wants input_ids (?, 77) int64; expected is input_ids or text of integers (B, 16)",
    ),
    "more than ids": (
        "text",
        lambda: with_input(text(), "pixel_values"),
        "wants input_ids (?, ?) int64 and pixel_values (?, 4) float; expected is input_ids or text",
    ),
    "a mask and something unknown": (
        "text",
        lambda: text(name="words", shape=Shape(masked=True)),
        "wants words (?, ?) int64 and attention_mask (?, ?) int64 and position_ids (?, ?) int64; expected is",
    ),
    "not pooled": (
        "text",
        not_pooled,
        "gives last_hidden_state (?, 1, 16) float; expected is text_embeds of floats (B, 16)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_graph_with_other_inputs_or_outputs_is_refused(tmp_path: Path, photo: Path, case: str) -> None:
    tower, make, complaint = REFUSED[case]
    folder = graph_folder(tmp_path)
    path = folder / "onnx" / f"{tower}_model.onnx"
    write_graph(path, make())
    answer = run_cli("similarity", photo, "--text", "a cat", "--model", folder)
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"error: {str(path)!r} {complaint}")


def test_features_of_another_length_are_refused_when_they_come(tmp_path: Path) -> None:
    folder = graph_folder(tmp_path)
    model = image()
    model.graph.node[-1].output[0] = "known"
    for op, inputs, output in (("Shape", ["pixel_values"], "shape"), ("Gather", ["shape", "first"], "count")):
        model.graph.node.append(helper.make_node(op, inputs, [output]))
    first = helper.make_tensor("first", TensorProto.INT64, [1], [0])
    rest = helper.make_tensor("rest", TensorProto.INT64, [1], [-1])
    model.graph.initializer.extend([first, rest])
    model.graph.node.append(helper.make_node("Concat", ["count", "rest"], ["sides"], axis=0))
    model.graph.node.append(helper.make_node("Reshape", ["known", "sides"], ["image_embeds"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "width"
    write_graph(folder / "onnx/vision_model.onnx", model)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"projection_dim": 24}))
    backend = ReadyGraphsBackend(read_ready_graphs(folder))
    with pytest.raises(CheckpointError, match=r"gives features of shape \(2, 16\), not \(2, 24\)"):
        backend.image_features(np.zeros((2, 3, 32, 32), np.float32))


def test_a_graph_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    folder = graph_folder(tmp_path)
    model = image()
    model.graph.node[0].op_type = "NoSuchOperator"
    write_graph(folder / "onnx/vision_model.onnx", model)
    backend = ReadyGraphsBackend(read_ready_graphs(folder))
    with pytest.raises(
        CheckpointError, match=r"vision_model.onnx' cannot be opened: This is an invalid model.*NoSuchOperator"
    ):
        backend.image_features(np.zeros((2, 3, 32, 32), np.float32))
