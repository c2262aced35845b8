"""export writes graphs that plain onnxruntime runs, and says how near they are."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import clipwright
from clipwright.checkpoints.load import load_checkpoint
from clipwright.checkpoints.model_file import save_model
from clipwright.checkpoints.ready_graphs import read_ready_graphs
from clipwright.embedding.backend import PRECISIONS, Precision
from clipwright.embedding.backends.ready_graphs import ReadyGraphsBackend
from clipwright.embedding.load import embedder_from, open_backend
from clipwright.errors import CheckpointError
from clipwright.evaluation.export import export
from tests.reference import reference_checkpoint
from tests.support import REFERENCE, equal_to_reference, run_cli, run_on_full_disk, tiny_checkpoint
from tests.training.data import write_captions

FILES = ["image.bin", "image.onnx", "input.json", "parity.json", "text.bin", "text.onnx", "tokenizer.json"]
BY_HAND = """
import json, sys
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder, picture, text, out = sys.argv[1:]
told = json.load(open(f"{folder}/input.json"))
spec = told["input"]

def run(tower, inputs):
    session = onnxruntime.InferenceSession(f"{folder}/{told[tower]['graph']}", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == list(told[tower]["inputs"])
    (features,) = session.run(list(told[tower]["outputs"]), inputs)
    return features / np.linalg.norm(features, axis=1, keepdims=True)

square = np.load(picture)  # of the right height already, and wider
side = spec["image_size"]
if spec["resize"] == "shortest":
    rounded = {"round": round, "floor": int}[spec["crop_rounding"]]
    left = rounded((square.shape[1] - side) / 2)
    square = square[:, left : left + side]
pixels = (square.astype(np.float32) / np.float32(255) - np.float32(spec["mean"])) / np.float32(spec["std"])
image = run("image", {"pixels": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})

ids = Tokenizer.from_file(f"{folder}/{told['tokenizer']}").encode(text).ids
if len(ids) > spec["context_length"]:
    ids = ids[: spec["context_length"] - 1] + [spec["end_id"]]
end = len(ids) - 1
if spec["padding"] == "context":
    ids += [spec["pad_id"]] * (spec["context_length"] - len(ids))
words = run("text", {"ids": np.array([ids]), "ends": np.array([end])})
assert not {"clipwright", "torch", "onnx", "PIL", "ftfy"} & set(sys.modules)
np.save(out, np.concatenate([image, words]))
"""


def by_hand(folder: Path, picture: np.ndarray, text: str, scratch: Path) -> np.ndarray:
    """What a program that knows nothing of clipwright makes of a picture and a text: two unit rows."""
    np.save(scratch / "picture.npy", picture)
    arguments = [folder, scratch / "picture.npy", text, scratch / "rows.npy"]
    command = [sys.executable, "-W", "error", "-c", BY_HAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.asarray(np.load(scratch / "rows.npy"))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


Exported = Callable[..., Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Exported:
    """Gives the folder of a model's graphs, by its name and a precision; made once, and only to be read."""

    @functools.cache
    def folder(name: str, precision: Precision = "fp32") -> Path:
        out = tmp_path_factory.mktemp("exported") / "graphs"
        if name in ("tiny", "starter"):
            source = tiny_model if name == "tiny" else name
            assert run_cli("export", source, out, "--precision", precision).status == 0
        else:
            export(reference_checkpoint(name), name, out, precision)
        return out

    return folder


@pytest.fixture
def tiny_graphs(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the tiny model's graphs, to be changed."""
    return Path(shutil.copytree(exported("tiny"), tmp_path / "graphs"))


# What is written


@pytest.mark.parametrize("text", ["a photo of a  CAT", "a red car in the street " * 20])
@pytest.mark.parametrize("model", ["tiny", "starter"])
def test_plain_onnxruntime_gets_our_vectors_by_hand(
    tmp_path: Path, tiny_model: Path, exported: Exported, model: str, text: str
) -> None:
    embedder = clipwright.load(tiny_model if model == "tiny" else model)
    side = embedder.spec.image_size
    picture = noise(side, side + 13)
    rows = by_hand(exported(model), picture, text, tmp_path)
    assert np.abs(rows[0] - embedder.embed_images([picture])[0]).max() < 1e-5
    assert np.abs(rows[1] - embedder.embed_texts([text])[0]).max() < 1e-5


def test_a_tower_that_sees_padding_says_how_to_pad(tmp_path: Path) -> None:
    tiny = tiny_checkpoint()
    config = replace(tiny.config, text=replace(tiny.config.text, causal=False, pool="last"))
    checkpoint = replace(tiny, config=config, spec=replace(tiny.spec, padding="context"))
    export(checkpoint, "tiny", tmp_path / "graphs")
    rows = by_hand(tmp_path / "graphs", noise(32, 45), "a photo of a cat", tmp_path)
    expected = embedder_from(checkpoint, "tiny").embed_texts(["a photo of a cat"])
    assert np.abs(rows[1] - expected[0]).max() < 1e-5


@pytest.mark.parametrize("name", ["hf-clip", "hf-siglip", "openclip-rn"])
def test_published_models_keep_their_features(exported: Exported, name: str) -> None:
    checkpoint, folder = reference_checkpoint(name), exported(name)
    assert json.loads((folder / "parity.json").read_text())["photographs"]["largest_difference"] < 1e-5
    told = json.loads((folder / "input.json").read_text())
    assert told["scale"] == pytest.approx(checkpoint.scale)
    assert (told["bias"] is None) == (told["scores"] == "softmax") == (checkpoint.bias is None)
    length = checkpoint.spec.context_length
    ids = np.full((2, length), checkpoint.spec.end_id)
    ids[:, 1 : length // 2] = 5
    ends = np.full(2, length // 2)
    ours = ReadyGraphsBackend(read_ready_graphs(folder)).text_features(ids, ends)
    assert equal_to_reference(ours, open_backend(checkpoint).text_features(ids, ends))


def test_input_json_says_all_that_is_needed(tiny_model: Path, exported: Exported) -> None:
    told = json.loads((exported("tiny", "bf16") / "input.json").read_text())
    checkpoint = load_checkpoint(tiny_model)
    assert told["space_id"] == checkpoint.space_id()
    assert (told["variant"], told["scale"], told["embed_dim"]) == ("exact-bf16", checkpoint.scale, 16)
    assert told["input"] == json.loads(json.dumps(vars(checkpoint.spec)))
    assert told["config"]["vision"]["patch_size"] == 8
    assert told["provenance"] == {"name": "tiny", "licence": "MIT"}
    assert told["image"]["inputs"] == {"pixels": {"type": "float32", "shape": ["batch", 3, 32, 32]}}
    assert told["text"]["inputs"]["ids"] == {"type": "int64", "shape": ["batch", "length"]}


def test_bf16_takes_half_the_space_and_int8_less_where_layers_are_linear(exported: Exported) -> None:
    sizes = {precision: (exported("tiny", precision) / "image.bin").stat().st_size for precision in PRECISIONS}
    assert sizes["bf16"] < 0.55 * sizes["fp32"]
    assert sizes["int8"] < 0.55 * sizes["fp32"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_lie_beside_the_graphs(exported: Exported, precision: Precision) -> None:
    """A protobuf holds 2 GB at most, so none may stand in the graph."""
    folder = exported("tiny", precision)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for tower in ("image", "text"):
        path = folder / f"{tower}.onnx"
        model = onnx.load(path, load_external_data=False)
        assert max(len(array.raw_data) for array in model.graph.initializer) <= 1024
        onnx.checker.check_model(path)


def test_the_folder_may_be_moved(tmp_path: Path, tiny_graphs: Path) -> None:
    tiny_graphs.rename(tmp_path / "elsewhere")
    pixels = np.ones((1, 3, 32, 32), np.float32)
    assert ReadyGraphsBackend(read_ready_graphs(tmp_path / "elsewhere")).image_features(pixels).shape == (1, 16)


def test_a_model_without_a_tokenizer_is_exported_without_one(tmp_path: Path) -> None:
    checkpoint = replace(tiny_checkpoint(), tokenizer=None)
    report = export(checkpoint, "tiny", tmp_path / "graphs")
    assert sorted(path.name for path in (tmp_path / "graphs").iterdir()) == FILES[:-1]
    assert json.loads((tmp_path / "graphs" / "input.json").read_text())["tokenizer"] is None
    assert report.parity.texts is None
    assert "the model came without a tokenizer, so its texts were not compared" in report.notes


# Opened again


ODD_TEXTS = ["a photo of a  CAT", "cafÃ© &amp; l'ΟΔΟΣ", "a red car in the street " * 20, ""]


@pytest.mark.parametrize("model", ["starter", "hf-clip", "hf-siglip", "openclip-rn", "openclip-siglip-timm"])
def test_what_is_exported_opens_as_the_model_itself(exported: Exported, model: str) -> None:
    checkpoint = load_checkpoint(model) if model == "starter" else reference_checkpoint(model)
    ready, made = clipwright.load(exported(model)), embedder_from(checkpoint, model)
    pictures = [noise(200, 300), noise(64, 31)]
    assert np.abs(ready.embed_images(pictures) - made.embed_images(pictures)).max() < 1e-5
    if checkpoint.tokenizer is not None:
        assert np.abs(ready.embed_texts(ODD_TEXTS) - made.embed_texts(ODD_TEXTS)).max() < 1e-5
    ids = np.full((2, checkpoint.spec.context_length), checkpoint.spec.end_id)
    assert equal_to_reference(ready.text_features(ids), made.text_features(ids))
    assert (ready.space_id, ready.variant, ready.spec) == (made.space_id, "exact-fp32", made.spec)
    assert ready.scale == pytest.approx(made.scale, rel=1e-6)
    assert ready.bias == (None if made.bias is None else pytest.approx(made.bias, rel=1e-6))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_variant_that_is_exported_is_the_one_that_opens(
    exported: Exported, tiny_model: Path, precision: Precision, caplog: pytest.LogCaptureFixture
) -> None:
    folder = exported("tiny", precision)
    caplog.clear()
    ready = clipwright.load(folder)
    assert (ready.space_id, ready.variant) == (load_checkpoint(tiny_model).space_id(), f"exact-{precision}")
    assert clipwright.load(folder, precision=precision).variant == ready.variant
    assert caplog.text == ""


def test_commands_take_what_is_exported(exported: Exported, tiny_model: Path, photo: Path) -> None:
    graphs = exported("tiny")
    ready, made = (
        run_cli("classify", photo, "--labels", "cat, dog", "--model", model, "--json") for model in (graphs, tiny_model)
    )
    assert (ready.status, ready.stderr, ready.stdout) == (0, "", made.stdout)
    told = json.loads(run_cli("info", graphs, "--json").stdout)
    assert told["provenance"] == {"name": "tiny", "licence": "MIT"}
    assert told["graphs"]["vision"] == str(graphs / "image.onnx")


@pytest.mark.parametrize("what", ["a graph", "its weights", "the tokenizer", "how pictures are prepared"])
def test_graphs_that_were_changed_are_another_space(tiny_graphs: Path, what: str) -> None:
    folder = tiny_graphs
    known = clipwright.load(folder).space_id
    if what == "a graph":
        model = onnx.load(folder / "image.onnx", load_external_data=False)
        model.doc_string = "changed"
        (folder / "image.onnx").write_bytes(model.SerializeToString())
    elif what == "its weights":
        weights = np.fromfile(folder / "text.bin", np.float32)
        weights[-1] += 1
        weights.tofile(folder / "text.bin")
    elif what == "the tokenizer":
        (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + "\n")
    else:
        table = json.loads((folder / "input.json").read_text())
        table["input"]["mean"] = [0.5, 0.5, 0.5]
        (folder / "input.json").write_text(json.dumps(table))
    assert clipwright.load(folder).space_id != known


def test_an_export_of_before_says_less_and_opens(tiny_graphs: Path, tiny_model: Path) -> None:
    table = json.loads((tiny_graphs / "input.json").read_text())
    del table["files_id"]
    (tiny_graphs / "input.json").write_text(json.dumps(table))
    ready = clipwright.load(tiny_graphs)
    assert ready.space_id != table["space_id"]  # nothing shows that the graphs are still those of that model
    assert np.array_equal(ready.embed_texts(["cat"]), clipwright.load(tiny_model).embed_texts(["cat"]))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 2}, "input.json' has format 2, this clipwright reads 1; update clipwright"),
        ({"format": None}, "input.json' has format None"),
        ({"scale": "much"}, "input.json' does not fit: input.json.scale must be a number"),
        ({"input": {}}, "input.json' does not fit: input.json.input lacks the key"),
        ({"variant": "exact-fp8"}, "input.json' does not fit: input.json.variant must be one of"),
        ({"tokenizer": "lost.json"}, "lacks lost.json, which input.json names"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tiny_graphs: Path, change: dict[str, object], complaint: str) -> None:
    table = json.loads((tiny_graphs / "input.json").read_text())
    (tiny_graphs / "input.json").write_text(json.dumps(table | change))
    answer = run_cli("info", tiny_graphs)
    assert (answer.status, complaint in answer.stderr) == (2, True)


# The report


def test_the_report_is_printed_and_saved(tmp_path: Path, tiny_model: Path) -> None:
    data = write_captions(tmp_path / "colours.parquet", 16)
    answer = run_cli("export", tiny_model, tmp_path / "graphs", "--precision", "int8", "--photos", data)
    assert answer.status == 0
    lines = answer.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:8]] == FILES
    assert lines[9] == f"{tiny_model}, exact-int8 against exact-fp32, on {tmp_path.name}/colours"
    assert lines[10].split() == ["photographs", "texts"]
    assert lines[11].split()[:2] == ["count", "16"]
    labels = [line[2:26].strip() for line in lines[12:]]
    assert labels == [
        "largest difference",
        "centred cosine, mean",
        "centred cosine, least",
        "zero-shot labels agree",
        "recall@10",
    ]
    saved = json.loads((tmp_path / "graphs" / "parity.json").read_text())
    assert (saved["variant"], saved["photographs"]["count"]) == ("exact-int8", 16)
    assert 0 < saved["photographs"]["largest_difference"] < 0.2
    assert 0.8 < saved["photographs"]["cosine_mean"] < 1


def test_json_is_the_report_as_one_object(tmp_path: Path, tiny_model: Path) -> None:
    data = write_captions(tmp_path / "colours.parquet", 16)
    answer = run_cli("export", tiny_model, tmp_path / "graphs", "--photos", data, "--json")
    assert answer.status == 0
    saved = json.loads((tmp_path / "graphs" / "parity.json").read_text())
    assert json.loads(answer.stdout) == saved | {"failures": []}
    assert (saved["labels_agree"], saved["recall_at_10"], saved["notes"]) == (1, 1, [])
    assert saved["photographs"]["cosine_least"] == pytest.approx(1, abs=1e-5)


def test_without_photographs_the_report_says_how_little_it_says(tmp_path: Path, tiny_model: Path) -> None:
    answer = run_cli("export", tiny_model, tmp_path / "graphs", "--precision", "bf16")
    assert (answer.status, answer.stderr) == (0, "")
    assert "cosine" not in answer.stdout
    assert "largest difference" in answer.stdout
    assert "say little" in answer.stdout
    assert "--photos FOLDER measures that" in answer.stdout
    assert "ONNX Runtime computes with them in fp32" in answer.stdout


def test_what_is_measured_are_the_files_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that go wrong on the way to the disk are found."""
    from clipwright.graph.builder import Graph

    write = Graph.write

    def damaged(self: Graph, folder: Path, name: str, weights: str) -> Path:
        path = write(self, folder, name, weights)
        data = np.fromfile(folder / weights, np.float32)
        data[::3] *= 1.5
        data.tofile(folder / weights)
        return path

    monkeypatch.setattr(Graph, "write", damaged)
    report = export(tiny_checkpoint(), "tiny", tmp_path / "graphs")
    assert report.parity.photographs.largest_difference > 0.01
    assert report.parity.texts is not None
    assert report.parity.texts.largest_difference > 0.01


def test_convolutions_that_stay_as_they_are_are_named(tmp_path: Path) -> None:
    answer = run_cli("export", "starter", tmp_path / "graphs", "--precision", "int8", "--quiet")
    assert "note: the image tower's convolutions stay in fp32; only its linear layers are int8.\n" in answer.stdout


def test_broken_photographs_are_named_and_status_is_1(
    tmp_path: Path, tiny_model: Path, bad_photos: dict[str, Path], photo: Path
) -> None:
    folder = bad_photos["truncated"].parent
    (folder / "good.jpg").write_bytes(photo.read_bytes())
    (folder / "too.png").write_bytes(b"")
    answer = run_cli("export", tiny_model, tmp_path / "graphs", "--photos", folder, "--json")
    assert answer.status == 1
    record = json.loads(answer.stdout)
    assert record["photographs"]["count"] == 1
    assert {failure["error"]["code"] for failure in record["failures"]} == {
        "truncated",
        "not_an_image",
        "empty",
        "too_large",
    }
    assert "5 of 6 photographs could not be read and were left out" in record["notes"]
    assert f"failed: {bad_photos['truncated']}: " in answer.stderr
    assert (tmp_path / "graphs" / "image.onnx").is_file()


# What is refused


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ("used", "'used' is there already; name a folder that is new or empty"),
        ("used/file", "'used/file' is there already; name a folder that is new or empty"),
        ("no/graphs", "'no/graphs': there is no folder"),
        ("/proc", "'/proc' is there already"),
    ],
)
def test_a_folder_that_cannot_be_filled_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("used").mkdir()
    Path("used/file").write_text("mine")
    answer = run_cli("export", "a model that is not looked for", folder)
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"error: {complaint}")
    assert Path("used/file").read_text() == "mine"


def test_the_folder_where_one_is_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    answer = run_cli("export", "starter", ".")
    assert (answer.status, answer.stderr) == (2, "error: '.' cannot be replaced where it is; name a folder inside it\n")


def test_an_empty_folder_is_filled(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run_cli("export", tiny_model, tmp_path / "empty").status == 0
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == FILES


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["startr", "graphs"], "no model 'startr'; did you mean 'starter'?"),
        (["starter", "graphs", "--photos", "empty"], "'empty' is a folder without pictures"),
        (["starter", "graphs", "--photos", "lost.parquet"], "no data set at 'lost.parquet'"),
        (["starter", "graphs", "--precision", "fp16"], "Invalid value for '--precision'"),
        ([str(REFERENCE / "hf-clip"), "graphs", "--precision", "int8"], "int8 needs the model's tokenizer"),
        (["starter"], "Missing argument 'FOLDER'"),
    ],
)
def test_a_wrong_request_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    answer = run_cli("export", *arguments)
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith(f"error: {complaint}")
    assert answer.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_photographs_of_which_none_can_be_read_leave_nothing(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    answer = run_cli("export", tiny_model, tmp_path / "graphs", "--photos", tmp_path / "photos")
    assert answer.status == 2
    assert "could be read; the first: " in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("limit", [1000, 12_000, 120_000])
def test_a_full_disk_is_status_3_and_nothing_half(tmp_path: Path, tiny_model: Path, limit: int) -> None:
    answer = run_on_full_disk(limit, "export", tiny_model, tmp_path / "graphs")
    assert (answer.status, answer.stdout) == (3, "")
    assert answer.stderr.startswith("error: ")
    assert str(tmp_path / "graphs") in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_leaves_no_folder_of_that_name(tmp_path: Path, tiny_model: Path) -> None:
    code = f"""
import os, sys
from clipwright.graph.builder import Graph
Graph.write = lambda *arguments: os._exit(9)
sys.argv = ["clipwright", "export", {str(tiny_model)!r}, {str(tmp_path / "graphs")!r}]
from clipwright.cli import main
main()
"""
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 9
    assert not (tmp_path / "graphs").exists()
    assert run_cli("export", tiny_model, tmp_path / "graphs").status == 0


def test_two_files_of_one_model_give_the_same_graphs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_model(tmp_path / f"{name}.safetensors", tiny_checkpoint())
        assert run_cli("export", tmp_path / f"{name}.safetensors", tmp_path / name).status == 0
    for file in ("image.onnx", "image.bin", "text.onnx", "text.bin", "tokenizer.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_pictures_are_prepared_exactly(tmp_path: Path) -> None:
    """What the report compares are the graphs; both see the same pixels."""
    Image.fromarray(noise(300, 400)).save(tmp_path / "a.png")
    report = export(tiny_checkpoint(), "tiny", tmp_path / "graphs", "fp32", tmp_path)
    assert report.variant == "exact-fp32"
    assert report.parity.photographs.largest_difference < 1e-5


def test_an_export_whose_scale_is_no_number_is_refused(exported: Exported, tmp_path: Path) -> None:
    shutil.copytree(exported("tiny"), tmp_path / "graphs")
    table = json.loads((tmp_path / "graphs" / "input.json").read_text())
    (tmp_path / "graphs" / "input.json").write_text(json.dumps(table | {"scale": math.nan}))
    with pytest.raises(CheckpointError, match="scale nan"):
        clipwright.load(tmp_path / "graphs")
