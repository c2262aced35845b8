"""A kept model opens in later processes whatever its shapes are; one that crashes them is not tried for ever."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.backends.packed_weights import align_weights
from clipwright.embedding.cache import ModelCache, OpenedModel, Shelf
from clipwright.embedding.crash_marks import CrashRecord
from tests.support import tiny_checkpoint

# Shapes

WIDTHS, CONTEXTS = (60, 64, 96, 128, 192, 256, 384, 512), (64, 76, 77, 78, 248)

EMBED_WITH_MANY_SHAPES = """
import sys
from pathlib import Path
import numpy as np
from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.embedding.backends.onnx import OnnxBackend
from clipwright.embedding.cache import ModelCache, Shelf
from clipwright.inputs.input_spec import InputSpec
from clipwright.model.config import ModelConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.shapes import weight_shapes

cache = ModelCache(Path(sys.argv[1]))
vision = VisionTransformerConfig(image_size=32, patch_size=8, width=32, layers=1, heads=2, mlp_width=64)
for shape in sys.argv[2:]:
    width, context = map(int, shape.split("x"))
    text = TextTransformerConfig(
        context_length=context, vocab_size=101, width=width, layers=2, heads=4, mlp_width=4 * width
    )
    config = ModelConfig(embed_dim=24, vision=vision, text=text)
    random = np.random.default_rng(0)
    weights = {
        name: random.standard_normal(side, np.float32) / 16 for name, side in weight_shapes(config).items()
    }
    spec = InputSpec(image_size=32, context_length=context, start_id=99, end_id=100, pad_id=0)
    checkpoint = Checkpoint(config=config, spec=spec, tokenizer=None, weights=weights)
    print(shape, end=" ", flush=True)
    backend = OnnxBackend(checkpoint, 1, "fp32", Shelf(cache, shape))
    ids = random.integers(0, 99, (2, context))
    print(backend.text_features(ids, np.array([context - 1, 3])).astype(np.float64).sum().round(3), flush=True)
"""


def test_text_towers_of_every_shape_open_in_a_second_process(tmp_path: Path) -> None:
    """What ONNX Runtime packs of matrices lies, by itself, wherever the tensor before it ended: a crash when read."""
    shapes = [f"{width}x{context}" for width, context in itertools.product(WIDTHS, CONTEXTS)]
    first, second = (
        subprocess.run(
            [sys.executable, "-c", EMBED_WITH_MANY_SHAPES, tmp_path, *shapes],
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr, second.stdout) == (0, "", first.stdout)
    kept = list(tmp_path.glob("*/*/graph.onnx"))
    assert len(kept) == len(shapes) == 40
    for graph in kept:
        assert all(offset % 64 == 0 for offset in offsets(graph)), graph


def offsets(graph: Path) -> list[int]:
    """Where tensors and their packed forms begin in the file beside a graph."""
    found = []
    for tensor in onnx.load(graph, load_external_data=False).graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "offset":
                found.append(int(entry.value))
            elif entry.key.startswith("prepacked"):
                found += [int(form.split(";")[0]) for form in entry.value.split("|")[1:]]
    return found


def test_aligning_moves_bytes_and_their_places_together(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="t", data_type=onnx.TensorProto.UINT8, dims=[3], data_location="EXTERNAL")
    for key, value in (
        ("location", "packed.bin"), ("offset", "1"), ("length", "3"),
        ("prepacked_1", "Gemm+1|4;2;0|6;5;0"), ("prepacked_1", "MatMul+2|11;1;0"),
    ):  # fmt: skip
        tensor.external_data.add(key=key, value=value)
    graph, weights = tmp_path / "graph.onnx", tmp_path / "packed.bin"
    graph.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor])).SerializeToString())
    weights.write_bytes(b"-abcdefghijk")
    align_weights(graph, weights)
    entries = [
        (entry.key, entry.value)
        for entry in onnx.load(graph, load_external_data=False).graph.initializer[0].external_data
    ]
    assert entries[1:] == [
        ("offset", "0"), ("length", "3"), ("prepacked_1", "Gemm+1|64;2;0|128;5;0"), ("prepacked_1", "MatMul+2|192;1;0"),
    ]  # fmt: skip
    data = weights.read_bytes()
    assert [data[:3], data[64:66], data[128:133], data[192:]] == [b"abc", b"de", b"fghij", b"k"]
    align_weights(graph, weights)
    assert weights.read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.onnx", "packed.bin"]


# Crashes

CRASH = """
import os, sys
from pathlib import Path
from clipwright.embedding.cache import ModelCache, Shelf

def make(folder):
    (folder / "graph").write_text("graph")

def read(folder):
    os.kill(os.getpid(), int(sys.argv[2]))

Shelf(ModelCache(Path(sys.argv[1])), "space").opened("key", make, read)
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(ModelCache(tmp_path), "space")


def crash(shelf: Shelf, number: int = signal.SIGSEGV) -> None:
    """Another process that ends while it opens the kept model."""
    done = subprocess.run([sys.executable, "-c", CRASH, shelf.cache.folder, str(int(number))], check=False)
    assert done.returncode == -number


def opened(shelf: Shelf) -> tuple[OpenedModel[str] | None, bool]:
    """The model, and whether it was made for that."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "graph").write_text("graph")

    return shelf.opened("key", make, lambda folder: (folder / "graph").read_text()), bool(made)


def use(shelf: Shelf) -> bool:
    """Opens the model and has it answer once. Whether it was made for that."""
    model, made = opened(shelf)
    assert model is not None
    assert model.trial is not None
    model.trial.end(survived=True)
    return made


def beside(shelf: Shelf) -> list[str]:
    return [path.name for path in (shelf.cache.folder / "space").glob(".*")]


def test_a_kept_model_that_crashed_a_process_is_made_anew_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    assert use(shelf)
    crash(shelf)
    assert use(shelf)
    assert "a process crashed" in caplog.text
    assert not use(shelf)
    assert beside(shelf) == []


def test_one_that_crashes_again_is_not_kept_until_it_is_pruned(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    crash(shelf)
    crash(shelf)
    for _ in range(2):
        caplog.clear()
        assert opened(shelf) == (None, False)
        assert "made processes crash 2 times" in caplog.text
        assert "--prune --days 0" in caplog.text
    assert list(shelf.cache.entries()) == []
    shelf.cache.prune(0)
    assert use(shelf)


def test_crashes_that_an_answer_lies_between_do_not_add_up(shelf: Shelf) -> None:
    for _ in range(3):
        crash(shelf)
        assert use(shelf)


def test_a_process_that_is_at_it_is_no_crash(shelf: Shelf) -> None:
    one, _ = opened(shelf)
    assert one is not None
    assert one.trial is not None
    assert not use(shelf)
    one.trial.end(survived=True)
    assert beside(shelf) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_is_no_crash(shelf: Shelf, error: type[BaseException]) -> None:
    use(shelf)

    def read(folder: Path) -> str:
        raise error

    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            shelf.opened("key", lambda folder: None, read)
    else:
        assert shelf.opened("key", lambda folder: None, read) is None
    assert beside(shelf) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_where_nothing_can_be_noted_the_model_is_used_all_the_same(tmp_path: Path) -> None:
    assert CrashRecord(tmp_path / "lost" / "key").begin() is None
    assert CrashRecord(tmp_path / "lost" / "key").crashes() == (0, False)


def test_a_tower_is_on_trial_until_it_has_answered(tmp_path: Path) -> None:
    checkpoint, shelf = tiny_checkpoint(), Shelf(ModelCache(tmp_path), "space")
    pixels = np.zeros((1, 3, 32, 32), np.float32)
    OnnxBackend(checkpoint, 1, "fp32", shelf).image_features(pixels)
    backend = OnnxBackend(checkpoint, 1, "fp32", shelf)
    backend._tower("image")
    assert len(beside(shelf)) == 1
    backend.image_features(pixels)
    assert beside(shelf) == []
    failing = OnnxBackend(checkpoint, 1, "fp32", shelf)
    with pytest.raises(Exception, match="pixels"):
        failing.image_features(pixels[:, :2])
    assert beside(shelf) == []
