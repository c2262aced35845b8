"""How fast do ViT-B/32's towers run here, beside transformers and beside a plain torch export in the same runtimes?

Random weights, the same for all. The runners take turns, round after round, so that noise hits all alike; quoted are
the fastest round of each, the medians of the rounds' ratios, and the ratios of the fastest.
Run: python benchmarks/inference_against_peers.py
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.save import save_checkpoint
from clipwright.embedding.backend import Backend
from clipwright.embedding.backends.onnx import open_in_memory
from clipwright.embedding.embedder import unit_rows
from clipwright.embedding.load import open_backend
from clipwright.graph.builder import Graph
from clipwright.graph.packing import pack_texts
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.openai_vocabulary import openai_tokenizer
from clipwright.inputs.tokenizer import Tokenizer
from clipwright.model.dual_encoder import DualEncoder
from clipwright.model.openai import OPENAI_CONFIGS
from clipwright.model.weights import build_model, weights_of
from machine import describe

BATCH = 16
FLICKR = Path("data/flickr8k/test.parquet")


def random_model() -> Checkpoint:
    torch.manual_seed(0)
    config = OPENAI_CONFIGS["ViT-B/32"]
    spec = InputSpec(image_size=224, context_length=77, start_id=49406, end_id=49407, pad_id=0)
    weights = weights_of(DualEncoder(config))
    return Checkpoint(config=config, spec=spec, tokenizer=openai_tokenizer(), weights=weights)


def transformers_model(checkpoint: Checkpoint, folder: Path) -> Any:
    from transformers import CLIPModel

    save_checkpoint(checkpoint, folder, "huggingface")
    model: Any = CLIPModel.from_pretrained(folder)
    return model.eval()


def torch_export(checkpoint: Checkpoint, folder: Path) -> Path:
    """The image tower as torch's own exporter writes it."""

    class Images(torch.nn.Module):
        def __init__(self, model: DualEncoder) -> None:
            super().__init__()
            self.vision = model.vision

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.vision(pixels)
            return features

    path = folder / "plain.onnx"
    torch.onnx.export(
        Images(build_model(checkpoint.config, checkpoint.weights)),
        (torch.zeros(BATCH, 3, 224, 224),),
        path,
        dynamo=False,
        input_names=["pixels"],
        output_names=["features"],
        dynamic_axes={"pixels": {0: "batch"}},
        opset_version=17,
    )
    return path


def runners(checkpoint: Checkpoint, folder: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """By name, what turns pixels into features."""
    theirs = transformers_model(checkpoint, folder / "hf")
    path = torch_export(checkpoint, folder)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    exact = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(path), "CPU", exact)

    def transformers_images(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(theirs(input_ids=dummy, pixel_values=torch.from_numpy(pixels)).image_embeds)

    def transformers_tower(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pooled = theirs.vision_model(pixel_values=torch.from_numpy(pixels)).pooler_output
            return np.asarray(theirs.visual_projection(pooled))

    dummy = torch.tensor([[49406, 49407]])
    check(
        unit_rows(transformers_tower(np.ones((1, 3, 224, 224), np.float32))),
        transformers_images(np.ones((1, 3, 224, 224), np.float32)),
    )
    chosen = {
        "ours, ONNX Runtime fp32": open_backend(checkpoint, None, "onnx", "fp32"),
        "ours, ONNX Runtime int8": open_backend(checkpoint, None, "onnx", "int8"),
        "ours, OpenVINO fp32": open_backend(checkpoint, None, "openvino", "fp32"),
        "ours, auto": open_backend(checkpoint, None, None, "auto"),
        "ours, OpenVINO int8": open_backend(checkpoint, None, "openvino", "int8"),
    }
    return {
        "transformers fp32": transformers_tower,
        "plain export, ONNX Runtime fp32": lambda pixels: session.run(None, {"pixels": pixels})[0],
        "plain export, OpenVINO fp32": lambda pixels: np.array(compiled({"pixels": pixels})[0]),
        **{name: backend.image_features for name, backend in chosen.items()},
    }


def check(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference in units of the reference's largest. Raises where they are not equal."""
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if difference > 1e-5:
        raise SystemExit(f"features differ by {difference:.2g}")
    return difference


def in_turns(tasks: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task in each round; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            begun = time.perf_counter()
            task()
            if number:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> str:
    median = statistics.median(a / b for a, b in zip(slow, fast, strict=True))
    return f"{median:.2f}x ({min(slow) / min(fast):.2f}x)"


def measure_images(checkpoint: Checkpoint, folder: Path, rounds: int) -> None:
    run = runners(checkpoint, folder)
    pixels = np.random.default_rng(0).standard_normal((BATCH, 3, 224, 224)).astype(np.float32)
    reference = unit_rows(run["transformers fp32"](pixels))
    seconds = in_turns({name: functools.partial(task, pixels) for name, task in run.items()}, rounds)
    print(
        "\n## Images\n\n| | images/s | against our ONNX Runtime fp32 (of the fastest) "
        "| largest difference of unit rows |"
    )
    print("|---|---|---|---|")
    base = seconds["ours, ONNX Runtime fp32"]
    for name, task in run.items():
        difference = np.abs(unit_rows(task(pixels)) - reference).max()
        if "fp32" in name:
            check(unit_rows(task(pixels)), reference)
        speed = BATCH / min(seconds[name])
        print(f"| {name} | {speed:.1f} | {ratio(base, seconds[name])} | {difference:.1e} |")
    pairs = [
        ("ours / plain export, ONNX Runtime", "plain export, ONNX Runtime fp32", "ours, ONNX Runtime fp32", ">= 0.97x"),
        ("ours / plain export, OpenVINO", "plain export, OpenVINO fp32", "ours, OpenVINO fp32", ">= 0.97x"),
        (
            "ours, ONNX Runtime / transformers",
            "transformers fp32",
            "ours, ONNX Runtime fp32",
            ">= 2x where torch is slow",
        ),
        ("auto / our fp32", "ours, ONNX Runtime fp32", "ours, auto", ">= 1.8x"),
        ("int8 / our fp32, ONNX Runtime", "ours, ONNX Runtime fp32", "ours, ONNX Runtime int8", ">= 2.0x"),
        ("int8 / our fp32, OpenVINO", "ours, OpenVINO fp32", "ours, OpenVINO int8", ">= 2.5x"),
    ]
    print("\n| ratio | asked | measured, of the fastest in brackets |\n|---|---|---|")
    for label, slow, fast, asked in pairs:
        print(f"| {label} | {asked} | {ratio(seconds[slow], seconds[fast])} |")


def products_alone(checkpoint: Checkpoint) -> Callable[[int], None]:
    """The text tower's matrix products and nothing else, of this many tokens: the least that it can take."""
    graph, text = Graph("products"), checkpoint.config.text
    x = graph.input("x", np.float32, ["tokens", text.width])
    ends = [graph.constant([value]) for value in (0, text.width, 1)]
    for number in range(text.layers):
        for layer in ("attention.qkv", "attention.output", "mlp.up", "mlp.down"):
            name = f"text.blocks.{number}.{layer}.weight"
            x = graph.node("Gemm", [x, graph.weight(name, checkpoint.weights[name])], transB=1)
            if layer == "attention.qkv":
                x = graph.node("Slice", [x, ends[0], ends[1], ends[2]])
    graph.output(x, "y", ["tokens", text.width])
    session = open_in_memory(graph, None)

    def run(tokens: int) -> None:
        session.run(None, {"x": np.zeros((tokens, text.width), np.float32)})

    return run


def measure_captions(checkpoint: Checkpoint, folder: Path, rounds: int) -> None:
    """Batches of 16 captions of Flickr8k's test split, against transformers padded to 77 as its processor pads."""
    import pyarrow.parquet as pq

    rows = pq.read_table(FLICKR, columns=["captions"])["captions"].to_pylist()
    captions = [caption for row in rows for caption in row][: 3 * BATCH]
    tokenizer = Tokenizer(openai_tokenizer(), checkpoint.spec)
    batches = [tokenizer.encode(captions[start : start + BATCH]) for start in range(0, len(captions), BATCH)]
    padded = []
    for batch in batches:
        ids = np.full((BATCH, 77), 49407)
        for number, end in enumerate(batch.ends):
            ids[number, :end] = batch.ids[number, :end]
        padded.append(torch.from_numpy(ids))
    theirs = transformers_model(checkpoint, folder / "hf-texts")

    def transformers_texts() -> np.ndarray:
        with torch.inference_mode():
            pooled = [theirs.text_model(input_ids=ids).pooler_output for ids in padded]
            return np.concatenate([np.asarray(theirs.text_projection(row)) for row in pooled])

    def ours(backend: Backend) -> np.ndarray:
        return np.concatenate([backend.text_features(batch.ids, batch.ends) for batch in batches])

    backends = {
        "ours, ONNX Runtime fp32": open_backend(checkpoint, None, "onnx", "fp32"),
        "ours, OpenVINO fp32": open_backend(checkpoint, None, "openvino", "fp32"),
        "ours, auto": open_backend(checkpoint, None, None, "auto"),
        "ours, ONNX Runtime int8": open_backend(checkpoint, None, "onnx", "int8"),
    }
    tasks: dict[str, Callable[[], Any]] = {"transformers fp32, padded to 77": transformers_texts}
    tasks |= {name: functools.partial(ours, backend) for name, backend in backends.items()}
    counts = [len(pack_texts(batch.ids, batch.ends)["tokens"]) for batch in batches]
    multiply = products_alone(checkpoint)
    alone = "its matrix products alone, ONNX Runtime fp32"
    seconds = in_turns({**tasks, alone: lambda: [multiply(count) for count in counts]}, rounds)
    reference = unit_rows(transformers_texts())
    lengths = np.concatenate([batch.ends + 1 for batch in batches])
    print(f"\n## Captions\n\nOf {lengths.mean():.1f} tokens in the mean, {lengths.max()} at most.\n")
    print(
        "| | captions/s | against transformers (of the fastest); fp32: >= 8x asked | largest difference of unit rows |"
    )
    print("|---|---|---|---|")
    base = seconds["transformers fp32, padded to 77"]
    for name, task in tasks.items():
        features = unit_rows(task())
        if "fp32" in name:
            check(features, reference)
        speed = len(captions) / min(seconds[name])
        difference = np.abs(features - reference).max()
        print(f"| {name} | {speed:.0f} | {ratio(base, seconds[name])} | {difference:.1e} |")
    print(f"| {alone} | {len(captions) / min(seconds[alone]):.0f} | {ratio(base, seconds[alone])} | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--captions-only", action="store_true")
    options = parser.parse_args()
    rounds = options.rounds
    warnings.filterwarnings("ignore")
    checkpoint = random_model()
    versions = f"ONNX Runtime {onnxruntime.__version__}, OpenVINO {openvino.__version__.partition('-')[0]}"
    print(f"# ViT-B/32 against peers\n\n{describe()}\n- {versions}, batches of {BATCH}, {rounds} rounds in turns")
    with tempfile.TemporaryDirectory() as folder:
        if not options.captions_only:
            measure_images(checkpoint, Path(folder), rounds)
        measure_captions(checkpoint, Path(folder), 3 * rounds)


if __name__ == "__main__":
    main()
