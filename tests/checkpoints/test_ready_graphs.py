"""Folders of ready ONNX graphs are told by what is in them, and what they leave open is refused."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer as Document
from tokenizers import models, pre_tokenizers, processors

from clipwright.checkpoints.external_data import external_files
from clipwright.checkpoints.folder import read_checkpoint, read_model
from clipwright.checkpoints.layouts import LayoutName
from clipwright.checkpoints.load import load_model
from clipwright.checkpoints.ready_graphs import ReadyGraphs, read_ready_graphs
from clipwright.embedding.backends.ready_graphs import ReadyGraphsBackend
from clipwright.embedding.cache import ModelCache
from clipwright.embedding.embedder import unit_rows
from clipwright.errors import CheckpointError
from clipwright.inputs.tokenizer import Tokenizer, framing_ids
from tests.graph_folders import graph_folder, reference_folder, write_graph, write_pair
from tests.reference import reference_checkpoint
from tests.support import REFERENCE, run_cli


def change(path: Path, **changes: Any) -> None:
    """Sets keys of a JSON file; None takes one out."""
    table = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in table.items() if value is not None}))


# Which folder is one


def test_weights_count_before_graphs(tmp_path: Path) -> None:
    folder = reference_folder(tmp_path, "hf-clip")
    assert isinstance(read_model(folder), ReadyGraphs)
    shutil.copyfile(REFERENCE / "hf-clip" / "model.safetensors", folder / "model.safetensors")
    assert read_model(folder).space_id() == read_checkpoint(REFERENCE / "hf-clip").space_id()


def test_graphs_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="ready graphs and no weights, which this needs; classify, similarity"):
        read_checkpoint(graph_folder(tmp_path))
    answer = run_cli("models", "convert", tmp_path, tmp_path / "new", "--layout", "openclip")
    assert (answer.status, "ready graphs and no weights" in answer.stderr) == (2, True)


@pytest.mark.parametrize("lacking", ["config.json", "onnx/text_model.onnx"])
def test_half_a_folder_says_what_was_looked_for(tmp_path: Path, lacking: str) -> None:
    folder = graph_folder(tmp_path)
    (folder / lacking).unlink()
    with pytest.raises(
        CheckpointError,
        match=r"visual/model.onnx and textual/model.onnx or onnx/vision_model.onnx and onnx/text_model.onnx",
    ):
        read_model(folder)
    with pytest.raises(CheckpointError, match=r"looked for .* visual/model.onnx and .* or onnx/vision_model.onnx and"):
        read_ready_graphs(folder)


@pytest.mark.parametrize("layout", ["transformers.js", "immich"])
def test_info_says_what_graphs_are(tmp_path: Path, layout: LayoutName) -> None:
    record = json.loads(run_cli("info", graph_folder(tmp_path, layout), "--json").stdout)
    assert record["space_id"] == read_model(tmp_path).space_id()
    assert record["config"] == {"embed_dim": 16, "scores": "softmax"}
    assert record["input"]["image_size"] == 32
    assert Path(record["graphs"]["vision"]).is_relative_to(tmp_path)
    assert record["provenance"] == {"layout": layout}
    assert "graphs\n  vision" in run_cli("info", tmp_path).stdout


# A folder for each tower


def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write_pair(tmp_path / "vision", tmp_path / "text", reference_checkpoint("hf-clip"), REFERENCE / "hf-clip")


def test_one_tower_alone_says_how_both_are_named(tmp_path: Path) -> None:
    for folder, held, other in zip(pair(tmp_path), ("an image", "a text"), ("text", "image"), strict=True):
        answer = run_cli("info", folder)
        assert (answer.status, answer.stdout) == (2, "")
        assert f"this is {held} tower alone; name the folder or repository of its {other} tower too" in answer.stderr
        assert "IMAGES+TEXTS" in answer.stderr


def test_two_towers_are_shown_as_one_model(tmp_path: Path) -> None:
    name = "+".join(map(str, pair(tmp_path)))
    told = json.loads(run_cli("info", name, "--json").stdout)
    assert told["file"] == name
    assert told["graphs"] == {"vision": str(tmp_path / "vision/model.onnx"), "text": str(tmp_path / "text/model.onnx")}
    answer = run_cli("models", "convert", name, tmp_path / "new", "--layout", "openclip")
    assert (answer.status, "ready graphs and no weights, which this needs" in answer.stderr) == (2, True)


@pytest.mark.parametrize(
    ("change_of", "table", "complaint"),
    [
        ("text", {"projection_dim": 7}, "are not the towers of one model"),
        ("text", {"model_type": "siglip_text_model"}, "are not the towers of one model"),
        ("text", {"model_type": "clip_vision_model"}, "this is not one tower, but a 'clip_vision_model' model"),
        ("vision", {"model_type": "dinov2"}, "this is not one tower, but a 'dinov2' model with model.onnx"),
    ],
)
def test_towers_of_two_models_are_refused(
    tmp_path: Path, change_of: str, table: dict[str, Any], complaint: str
) -> None:
    images, texts = pair(tmp_path)
    change(tmp_path / change_of / "config.json", **table)
    with pytest.raises(CheckpointError, match=complaint):
        load_model(f"{images}+{texts}")


def test_a_folder_without_graphs_is_no_tower(tmp_path: Path) -> None:
    images, texts = pair(tmp_path)
    (texts / "model.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"text' holds no ready graphs: looked for"):
        load_model(f"{images}+{texts}")


# Identity


def test_space_id_changes_with_every_byte_that_matters(tmp_path: Path) -> None:
    folder = graph_folder(tmp_path, external=True)
    shown = [read_ready_graphs(folder).space_id()]
    for name in ("onnx/vision_model.onnx_data", "onnx/text_model.onnx", "tokenizer.json", "preprocessor_config.json"):
        path = folder / name
        if name.endswith(".onnx"):
            graph = onnx.load(path, load_external_data=False)
            graph.doc_string = "changed"
            path.write_bytes(graph.SerializeToString())
        elif name == "preprocessor_config.json":
            change(path, image_mean=[0.5, 0.5, 0.5])
        else:
            path.write_bytes(path.read_bytes() + (b"\n" if name.endswith(".json") else b"\0"))
        shown.append(read_ready_graphs(folder).space_id())
    assert len(set(shown)) == 5
    (folder / "onnx" / "vision_model_quantized.onnx").write_bytes(b"another variant")
    assert read_ready_graphs(folder).space_id() == shown[-1]
    assert all(len(name) == 16 for name in shown)


def test_space_id_is_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = graph_folder(tmp_path / "model", external=True), ModelCache(tmp_path / "cache")
    known = cache.space_id(read_ready_graphs(folder))
    assert known == read_ready_graphs(folder).space_id()
    with monkeypatch.context() as patch:
        patch.setattr(ReadyGraphs, "space_id", lambda self: "0" * 16)
        assert cache.space_id(read_ready_graphs(folder)) == known
        data = folder / "onnx" / "text_model.onnx_data"
        data.write_bytes(data.read_bytes() + b"\0")
        assert cache.space_id(read_ready_graphs(folder)) == "0" * 16


# What its files leave open


REFUSED: dict[str, tuple[LayoutName, Callable[[Path], object], str]] = {
    "no preprocessor": (
        "transformers.js",
        lambda folder: (folder / "preprocessor_config.json").unlink(),
        "preprocessor_config.json is missing",
    ),
    "no preprocess_cfg": (
        "immich",
        lambda folder: (folder / "visual/preprocess_cfg.json").unlink(),
        "visual/preprocess_cfg.json is missing, so it is not stated how pictures are prepared",
    ),
    "another kind of model": (
        "transformers.js",
        lambda folder: change(folder / "config.json", model_type="chinese_clip"),
        "config.json is of a 'chinese_clip' model",
    ),
    "another size": (
        "immich",
        lambda folder: change(folder / "visual/preprocess_cfg.json", size=[64, 64]),
        "makes pictures of 64 px, but vision_cfg of config.json reads 32",
    ),
    "an unknown resize": (
        "immich",
        lambda folder: change(folder / "visual/preprocess_cfg.json", resize_mode="crop"),
        "visual/preprocess_cfg.json: pictures resized bicubic and crop",
    ),
    "no size of the embedding": (
        "immich",
        lambda folder: change(folder / "config.json", embed_dim=None),
        "config.json: model_cfg.embed_dim must be a whole number",
    ),
    "the tokenizer of another model": (
        "immich",
        lambda folder: (folder / "textual/tokenizer.json").write_text(word_tokenizer("<s> $A </s>")),
        "tokenizer.json does not fit: the tokenizer lacks <|startoftext|>",
    ),
    "a graph that was cut off": (
        "immich",
        lambda folder: (folder / "visual/model.onnx").write_bytes((folder / "visual/model.onnx").read_bytes()[:-9]),
        "visual/model.onnx' is no ONNX graph, or was cut off",
    ),
    "an empty graph": (
        "transformers.js",
        lambda folder: (folder / "onnx/text_model.onnx").write_bytes(b""),
        "onnx/text_model.onnx' is no ONNX graph, or was cut off",
    ),
    "external data that is missing": (
        "transformers.js",
        lambda folder: write_graph(folder / "onnx/text_model.onnx", pointing_to("text_model.onnx_data")),
        "onnx/text_model.onnx_data' is missing, which the graph beside it names",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_stated_is_refused(tmp_path: Path, case: str) -> None:
    layout, damage, complaint = REFUSED[case]
    damage(graph_folder(tmp_path, layout))
    answer = run_cli("embed", "--text", "a cat", "--model", tmp_path)
    assert answer.status == 2
    assert complaint in answer.stderr


# External data


def pointing_to(location: str, *, inside: bool = False) -> onnx.ModelProto:
    """A graph with one tensor in this file; inside: within a node of a branch of a condition."""
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "8")):
        tensor.external_data.add(key=key, value=value)
    given = helper.make_tensor_value_info("given", TensorProto.BOOL, [])
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])
    near = helper.make_tensor("near", TensorProto.FLOAT, [2], [1.0, 2.0])
    if not inside:
        nodes = [helper.make_node("Identity", ["far"], ["out"])]
        return helper.make_model(helper.make_graph(nodes, "flat", [given], [output], [near, tensor]))
    branches = [
        helper.make_graph([helper.make_node("Constant", [], ["out"], value=value)], "branch", [], [output])
        for value in (tensor, near)
    ]
    nodes = [helper.make_node("If", ["given"], ["out"], then_branch=branches[0], else_branch=branches[1])]
    return helper.make_model(helper.make_graph(nodes, "branched", [given], [output]))


@pytest.mark.parametrize("inside", [False, True])
def test_files_that_a_graph_names_are_found_wherever_the_tensor_stands(tmp_path: Path, inside: bool) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(pointing_to("part/model.onnx_data", inside=inside).SerializeToString())
    assert external_files(path) == ("part/model.onnx_data",)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../b", "C:\\secret", "\\\\host\\share", ""])
def test_a_graph_that_points_out_of_its_folder_is_refused(tmp_path: Path, location: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(pointing_to(location).SerializeToString())
    with pytest.raises(CheckpointError, match="lies outside its folder"):
        external_files(path)


def test_damaged_graphs_are_refused_and_never_raise_anything_else(tmp_path: Path) -> None:
    whole = pointing_to("model.onnx_data", inside=True).SerializeToString()
    path, random = tmp_path / "model.onnx", np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole[: random.integers(1, len(whole) + 1)])
        damaged[random.integers(len(damaged))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            external_files(path)
        except CheckpointError:
            refused += 1
    assert refused > 100


# Texts of towers from transformers, whose tokenizers frame texts by themselves


def word_tokenizer(template: str) -> str:
    """A tokenizer of a few words that puts texts into a template."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "eng_Latn", "a", "cat", "dog", "photo", "of"]
    document = Document(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    document.add_special_tokens(words[:5])
    document.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(word, words.index(word)) for word in words[:5] if word in template.split()]
    document.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    return document.to_str()


def multilingual(folder: Path, template: str, kind: str = "xlm-roberta-base") -> Path:
    """Immich's layout with such a tokenizer. The graph is that of a tower that reads at the first end."""
    graph_folder(folder, "immich")
    change(folder / "config.json", text_cfg={"hf_model_name": kind, "hf_tokenizer_name": kind, "context_length": 16})
    (folder / "textual/tokenizer.json").write_text(word_tokenizer(template))
    (folder / "textual/tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>"}))
    return folder


@pytest.mark.parametrize(
    ("template", "start", "rows"),
    [
        ("<s> $A </s>", 0, [[0, 5, 6, 2], [0, 7, 2, 1]]),
        ("$A </s>", None, [[5, 6, 2], [7, 2, 1]]),
        ("eng_Latn $A </s>", 4, [[4, 5, 6, 2], [4, 7, 2, 1]]),
    ],
)
def test_a_multilingual_tower_is_given_what_its_tokenizer_makes(
    tmp_path: Path, template: str, start: int | None, rows: list[list[int]]
) -> None:
    repository = read_ready_graphs(multilingual(tmp_path, template))
    spec = repository.spec
    assert (spec.start_id, spec.end_id, spec.pad_id, spec.context_length) == (start, 2, 1, 16)
    assert (spec.text_cleaning, spec.padding) == ("mended", "longest")
    assert repository.tokenizer is not None
    tokens = Tokenizer(repository.tokenizer, spec).encode(["a  cat", "dog"])
    assert tokens.ids.tolist() == rows
    ids = np.array(rows) + 20  # the tower of this test has an end of its own
    ids[tokens.ids == 2] = 532
    backend = ReadyGraphsBackend(repository)
    features = backend.text_features(ids, tokens.ends)
    one = backend.text_features(ids[1:, : tokens.ends[1] + 1], tokens.ends[1:])
    assert np.abs(unit_rows(features)[1] - unit_rows(one)[0]).max() < 1e-6


def test_that_a_tower_is_told_one_language_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = multilingual(tmp_path, "eng_Latn $A </s>", "facebook/nllb-200-distilled-600M")
    with caplog.at_level(logging.WARNING):
        read_ready_graphs(folder)
    assert "told the language of a text" in caplog.text


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            lambda folder: (folder / "textual/tokenizer.json").write_text(word_tokenizer("$A </s> eng_Latn")),
            "for the text tower 'xlm-roberta-base': tokenizer.json makes [5, 2, 4] of [5]",
        ),
        (lambda folder: (folder / "textual/tokenizer.json").unlink(), "needs its own tokenizer.json"),
        (
            lambda folder: (folder / "textual/tokenizer_config.json").unlink(),
            "does not say which token of 'xlm-roberta-base' pads a text",
        ),
    ],
)
def test_a_multilingual_tower_whose_texts_are_not_described_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], complaint: str
) -> None:
    damage(multilingual(tmp_path, "<s> $A </s>"))
    with pytest.raises(CheckpointError) as raised:
        read_ready_graphs(tmp_path)
    assert complaint in str(raised.value)


def test_framing_ids_hold_for_texts_of_any_length() -> None:
    document = word_tokenizer("<s> $A </s>")
    assert framing_ids(document) == (0, 2)
    assert Document.from_str(document).encode("a photo of a dog").ids == [0, 5, 8, 9, 5, 7, 2]
