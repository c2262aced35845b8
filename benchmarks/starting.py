"""How long until the first answer, and how much memory does loading take?

Every figure is of a process of its own, started anew, the best and the median of several; files are in the page cache.
Run: python benchmarks/starting.py [--bin FOLDER-OF-AN-ENVIRONMENT-WITHOUT-TORCH/bin]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.save import save_checkpoint
from clipwright.embedding.backends.openvino import has_bf16
from clipwright.inputs.input_spec import InputSpec
from clipwright.inputs.openai_vocabulary import openai_tokenizer
from clipwright.model.config import ModelConfig
from clipwright.model.openai import OPENAI_CONFIGS
from clipwright.model.shapes import weight_shapes
from machine import describe

PHOTO = Path(__file__).parents[1] / "tests" / "data" / "reference" / "pictures" / "rocket.jpg"
MEASURED = """
import sys
{code}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # resource counts the parent's memory too
print(int(status["VmHWM"].split()[0]) * 1024)
"""
FIRST_VECTOR = """
from clipwright.embedding.load import load_embedder
embedder = load_embedder({folder!r}, backend={backend!r}, precision={precision!r})
embedder.embed_{what}
"""
GRAPHS = """
import tempfile
from pathlib import Path
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.tower_graphs import tower_graph
checkpoint = load_checkpoint({folder!r})
with tempfile.TemporaryDirectory() as out:
    for tower in ("image", "text"):
        graph = tower_graph(checkpoint, tower, "fp32", fused=True, packed=False)
        graph.write(Path(out), tower + ".onnx", tower + ".bin")
assert "torch" not in sys.modules
"""
TORCH = """
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backends.torch import TorchBackend
TorchBackend.from_checkpoint(load_checkpoint({folder!r}))
"""


def random_model(config: ModelConfig) -> Checkpoint:
    random = np.random.default_rng(0)
    weights = {
        name: np.float32(0.02) * random.standard_normal(shape, np.float32)
        for name, shape in weight_shapes(config).items()
    }
    spec = InputSpec(image_size=config.vision.image_size, context_length=77, start_id=49406, end_id=49407, pad_id=0)
    return Checkpoint(config=config, spec=spec, tokenizer=openai_tokenizer(), weights=weights)


def run(arguments: list[str | Path], rounds: int) -> tuple[list[float], str]:
    """Wall seconds from start to end of each process, and what the last wrote."""
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - begun)
    return seconds, done.stdout


def in_process(python: Path, code: str, rounds: int = 1) -> tuple[list[float], float]:
    """Seconds from the start of the process, and the most bytes that it had in memory."""
    seconds, out = run([python, "-W", "ignore", "-c", MEASURED.format(code=code)], rounds)
    return seconds, float(out)


def row(what: str, asked: str, measured: str) -> None:
    print(f"| {what} | {asked} | {measured} |", flush=True)


def times(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (best {min(seconds):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=Path, default=Path(sys.executable).parent)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    python = options.bin / "python"
    print(f"# Until the first answer\n\n{describe()}\n\n| what | asked | measured |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CLIPWRIGHT_HOME"] = scratch
        imported, _ = in_process(python, "import clipwright", options.rounds)
        empty, _ = in_process(python, "pass", options.rounds)
        yardstick, _ = in_process(python, "import numpy, onnxruntime", options.rounds)
        row("a yardstick for the machine: Python importing numpy and onnxruntime", "", times(yardstick))
        row("import clipwright, beyond Python itself", "< 0.05 s", times([a - min(empty) for a in imported]))
        cold, _ = run(
            [options.bin / "clipwright", "classify", PHOTO, "--labels", "rocket, cat, dog", "--quiet"], options.rounds
        )
        row("cold classify of one photograph, starter", "<= 0.6 s", times(cold))
        base = Path(scratch) / "vit-b-32"
        save_checkpoint(random_model(OPENAI_CONFIGS["ViT-B/32"]), base, "huggingface")
        kept = [("onnx", "fp32", 1.0), ("openvino", "fp32", 1.5)]
        kept += [("openvino", "bf16", 1.5)] if has_bf16() else []
        for backend, precision, limit in kept:
            for what in (f"images([{str(PHOTO)!r}])", "texts(['a cat'])"):
                code = FIRST_VECTOR.format(folder=str(base), backend=backend, precision=precision, what=what)
                in_process(python, code)  # makes what is kept
                seconds, peak = in_process(python, code, options.rounds)
                row(
                    f"first vector, ViT-B/32 kept ready, {what.partition('(')[0]}, {backend} {precision}",
                    f"<= {limit} s",
                    f"{times(seconds)}, {peak / 1e6:,.0f} MB",
                )
        large = Path(scratch) / "vit-l-14"
        save_checkpoint(random_model(OPENAI_CONFIGS["ViT-L/14"]), large, "huggingface")
        weights = (large / "model.safetensors").stat().st_size
        for what, code, asked in (
            ("ViT-L/14, safetensors to graphs, no torch", GRAPHS, "<= 20 s, <= 1.3x of its weights"),
            ("ViT-L/14, safetensors into torch", TORCH, "<= 1.2x of its weights"),
        ):
            runs_torch = Path(sys.executable) if code is TORCH else python
            seconds, peak = in_process(runs_torch, code.format(folder=str(large)))
            row(what, asked, f"{seconds[0]:.1f} s, {peak / weights:.2f}x of {weights / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
