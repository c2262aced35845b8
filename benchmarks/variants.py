"""How near are bf16 and int8 to fp32, with trained weights on real photographs, also where channels stand out?

1,000 photographs of Flickr8k's test split with their captions. Each model twice: as it is, and with outlier channels
planted in every block: a few channels 40 times as large, what they meet 40 times as small, so that the function is the
same. The starter's image tower is a ResNet, whose convolutions stay in floats; --model measures another too, such as a
vision transformer. Run: python benchmarks/variants.py [--model FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
from pathlib import Path

import numpy as np

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_checkpoint
from clipwright.embedding.backend import BackendName, Precision
from clipwright.embedding.backends.openvino import has_bf16
from clipwright.embedding.load import embedder_from
from clipwright.evaluation.parity import measure, photograph_set
from clipwright.model.config import VisionTransformerConfig
from machine import describe

FLICKR = Path("data/flickr8k/test.parquet")
VARIANTS: tuple[tuple[BackendName, Precision], ...] = (("openvino", "bf16"), ("onnx", "int8"), ("openvino", "int8"))
PLANTED, TIMES = 4, 40


def with_outliers(checkpoint: Checkpoint) -> Checkpoint:
    """The same function, with channels that stand out before every linear layer but those behind an activation."""
    random = np.random.default_rng(0)
    weights = {name: np.array(array, np.float32) for name, array in checkpoint.weights.items()}
    towers = [("text", checkpoint.config.text)]
    if isinstance(checkpoint.config.vision, VisionTransformerConfig):
        towers.append(("vision", checkpoint.config.vision))  # type: ignore[arg-type]
    for tower, config in towers:
        for number in range(config.layers):
            block = f"{tower}.blocks.{number}"
            for norm, layer in (("attention_norm", "attention.qkv"), ("mlp_norm", "mlp.up")):
                chosen = random.choice(config.width, PLANTED, replace=False)
                for part in ("weight", "bias"):
                    weights[f"{block}.{norm}.{part}"][chosen] *= TIMES
                weights[f"{block}.{layer}.weight"][:, chosen] /= TIMES
            chosen = random.choice(config.width, PLANTED, replace=False)
            for part in ("weight", "bias"):
                weights[f"{block}.attention.qkv.{part}"][2 * config.width + chosen] *= TIMES
            weights[f"{block}.attention.output.weight"][:, chosen] /= TIMES
    return dataclasses.replace(checkpoint, weights=weights, files=())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", default=[])
    logging.disable(logging.WARNING)  # of captions beyond the context
    print(f"# Variants against fp32\n\n{describe()}\n")
    variants = [variant for variant in VARIANTS if variant[1] != "bf16" or has_bf16()]
    if len(variants) < len(VARIANTS):
        print("This processor has no units for bf16, so that variant is left out.\n")
    print("| model | variant | centred cosine of photographs | of texts | labels agree | recall@10 |")
    print("|---|---|---|---|---|---|")
    photographs = photograph_set(FLICKR)
    for name in ["starter", *parser.parse_args().model]:
        checkpoint = load_checkpoint(name)
        for label, model in (
            (Path(name).parent.name or name, checkpoint),
            ("outliers planted", with_outliers(checkpoint)),
        ):
            reference = functools.partial(embedder_from, model, name)
            for backend, precision in variants:
                variant = functools.partial(reference, backend=backend, precision=precision)
                parity, _ = measure(reference, variant, photographs, has_tokenizer=True)
                assert parity.texts is not None
                print(
                    f"| {label} | {backend} {precision} | {parity.photographs.cosine_mean:.4f} (least"
                    f" {parity.photographs.cosine_least:.4f}) | {parity.texts.cosine_mean:.4f} (least"
                    f" {parity.texts.cosine_least:.4f}) | {parity.labels_agree:.1%} | {parity.recall_at_10:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
