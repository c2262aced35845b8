"""Of a repository what makes a model is downloaded, in every layout that is read of a folder; here in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from clipwright.checkpoints.hub import is_cached
from clipwright.checkpoints.load import load_model
from clipwright.checkpoints.ready_graphs import read_ready_graphs
from clipwright.checkpoints.small_files import tokenizer_files
from clipwright.errors import CheckpointError
from clipwright.evaluation.export import export
from tests.checkpoints.test_hub import Hub, asking, damaged_bytes, files_under, hub, local_space_id
from tests.graph_folders import as_openvino, graph_folder, write_joint, write_pair
from tests.reference import reference_checkpoint
from tests.support import DATA, REFERENCE, run_cli, tiny_checkpoint

__all__ = ["hub"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, hub: Hub) -> Iterator[None]:
    """The hub's cache, empty, in front of the hub on 127.0.0.1."""
    with asking(hub, tmp_path / "cache"):
        yield


def space_id(name: str) -> str:
    return load_model(name).space_id()


def loads_again_without_a_request(hub: Hub, name: str, known: str) -> bool:
    hub.requests.clear()
    return space_id(name) == known and not hub.requests


SMALL = {"config.json", "preprocessor_config.json"}
MODULES = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]


def test_of_a_clip_of_sentence_transformers_its_folder_is_downloaded(hub: Hub) -> None:
    hub.files = {f"0_CLIPModel/{name}": data for name, data in hub.files.items()} | {
        "modules.json": json.dumps(MODULES).encode(),
        "config_sentence_transformers.json": b"{}",
        "README.md": b"# CLIP",
    }
    assert space_id("acme/clip") == local_space_id()
    assert set(hub.downloads()) == {"modules.json", *(f"0_CLIPModel/{name}" for name in (*SMALL, "model.safetensors"))}
    assert loads_again_without_a_request(hub, "acme/clip", local_space_id())
    assert is_cached("acme/clip")


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "beside tokenizer.json"])
def test_of_its_tokenizer_what_is_read_is_downloaded(hub: Hub, whole: bool) -> None:
    files = {name: (DATA / "clip_vocabulary" / name).read_bytes() for name in ("vocab.json", "merges.txt")}
    read = {f"0_CLIPModel/{name}" for name in (("tokenizer.json",) if whole else files)}
    if whole:
        files["tokenizer.json"] = str(tokenizer_files(DATA / "clip_vocabulary")[0]).encode()
    hub.files = {f"0_CLIPModel/{name}": data for name, data in {**hub.files, **files}.items()}
    hub.files["modules.json"] = json.dumps(MODULES).encode()
    model = load_model("acme/clip")
    assert set(hub.downloads()) - {f"0_CLIPModel/{name}" for name in SMALL} == {
        *read,
        "modules.json",
        "0_CLIPModel/model.safetensors",
    }
    assert {Path(name).name for name in read} <= {file.name for file in model.files}
    assert loads_again_without_a_request(hub, "acme/clip", model.space_id())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "distilbert"}, "config.json is of a 'distilbert' model; clipwright reads clip and siglip$"),
        (
            {"model_type": "jina_clip", "auto_map": {"AutoModel": "modeling_clip.JinaCLIPModel"}},
            r"needs the repository's own code \(auto_map\), and clipwright runs none$",
        ),
        ({"model_type": "clip_vision_model"}, "clipwright has no models of an image tower alone$"),
    ],
)
def test_of_a_model_that_is_not_built_nothing_large_is_downloaded(
    hub: Hub, config: dict[str, object], said: str
) -> None:
    hub.files |= {"config.json": json.dumps(config).encode(), "onnx/model.onnx": b"a graph"}
    with pytest.raises(CheckpointError, match=f"^'acme/clip': .*{said}"):
        load_model("acme/clip")
    assert hub.downloads() == ["config.json"]


def test_a_variant_alone_is_downloaded(hub: Hub) -> None:
    hub.files["model.fp16.safetensors"] = hub.files.pop("model.safetensors")
    del hub.files["pytorch_model.bin"]
    assert space_id("acme/clip") == local_space_id()
    assert set(hub.downloads()) == {*SMALL, "model.fp16.safetensors"}
    assert loads_again_without_a_request(hub, "acme/clip", local_space_id())


def test_a_variant_that_another_program_fetched_does_not_hide_the_whole(hub: Hub) -> None:
    hub.files["model.fp16.safetensors"] = damaged_bytes(hub.files["model.safetensors"])
    for name in (*SMALL, "model.fp16.safetensors"):
        hf_hub_download("acme/clip", name)
    hub.requests.clear()
    assert space_id("acme/clip") == local_space_id()
    assert hub.downloads() == ["model.safetensors"]


def test_the_variant_of_graphs_that_is_named_is_downloaded(tmp_path: Path, hub: Hub) -> None:
    hub.files = files_under(graph_folder(tmp_path / "folder", external=True))
    for name in [name for name in hub.files if name.endswith(".onnx")]:
        hub.files[name.replace("_model", "_model_quantized")] = hub.files[name]
    known = read_ready_graphs(tmp_path / "folder").space_id()
    assert space_id("acme/clip:quantized") == known
    graphs = {name for name in hub.downloads() if name.endswith(".onnx")}
    assert graphs == {"onnx/vision_model_quantized.onnx", "onnx/text_model_quantized.onnx"}
    assert loads_again_without_a_request(hub, "acme/clip:quantized", known)
    assert not is_cached("acme/clip")  # without the name, full precision is meant
    with pytest.raises(CheckpointError, match="no weights and no graphs that are called 'q4'; found 10 files"):
        load_model("acme/clip:q4")


def test_graphs_that_are_there_in_integers_alone_are_downloaded(tmp_path: Path, hub: Hub) -> None:
    files = files_under(graph_folder(tmp_path / "folder"))
    hub.files = {name.replace(".onnx", "_int8.onnx"): data for name, data in files.items()}
    assert loads_again_without_a_request(hub, "acme/clip", space_id("acme/clip"))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_one_graph_of_both_towers_is_downloaded(tmp_path: Path, hub: Hub, runtime: str) -> None:
    folder = write_joint(tmp_path / "folder", reference_checkpoint("hf-clip"), REFERENCE / "hf-clip")
    needed = {*SMALL, "model.onnx"}
    if runtime == "openvino":
        needed = {*SMALL, "openvino_model.xml", "openvino_model.bin"}
        as_openvino(folder, ("model.onnx", "openvino_model.xml"))
    hub.files = files_under(folder) | {"README.md": b"# CLIP"}
    known = read_ready_graphs(folder).space_id()
    assert space_id("acme/clip") == known
    assert set(hub.downloads()) == needed
    assert loads_again_without_a_request(hub, "acme/clip", known)


def test_what_is_exported_can_be_published(tmp_path: Path, hub: Hub) -> None:
    export(tiny_checkpoint(), "tiny", tmp_path / "graphs")
    hub.files = files_under(tmp_path / "graphs")
    assert space_id("acme/clip") == tiny_checkpoint().space_id()
    assert set(hub.downloads()) == hub.files.keys() - {"parity.json"}
    assert loads_again_without_a_request(hub, "acme/clip", tiny_checkpoint().space_id())


def test_a_tower_from_a_repository_and_one_from_a_folder_are_a_model(tmp_path: Path, hub: Hub) -> None:
    images, texts = write_pair(
        tmp_path / "vision", tmp_path / "text", reference_checkpoint("hf-clip"), REFERENCE / "hf-clip"
    )
    hub.files = files_under(images)
    assert space_id(f"acme/clip+{texts}") == space_id(f"{images}+{texts}")
    assert set(hub.downloads()) == {*SMALL, "model.onnx"}
    with pytest.raises(
        CheckpointError, match="this is an image tower alone; name the folder or repository of its text"
    ):
        load_model("acme/clip")


def test_weights_for_another_library_alone_are_named(hub: Hub) -> None:
    hub.files = {"config.json": b"{}", "tf_model.h5": b"", "README.md": b""}
    with pytest.raises(CheckpointError, match="'acme/clip' holds weights for TensorFlow alone"):
        load_model("acme/clip")


def test_a_variant_is_pulled(hub: Hub) -> None:
    hub.files["model.fp16.safetensors"] = damaged_bytes(hub.files["model.safetensors"])
    answer = run_cli("models", "pull", "acme/clip:fp16")
    assert (answer.status, answer.stderr) == (0, "")
    assert answer.stdout.startswith("acme/clip:fp16: 64 px, 48 numbers a photograph, in ")
    assert set(hub.downloads()) == {*SMALL, "model.fp16.safetensors"}
