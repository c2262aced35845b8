"""The weights that a config asks for, by name and shape. No torch here: graphs and loaders need it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clipwright.errors import CheckpointError
from clipwright.model.config import (
    ModelConfig,
    ResNetConfig,
    TextTransformerConfig,
    VisionTransformerConfig,
)

Shape = tuple[int, ...]
RESNET_EXPANSION = 4
"""How much wider a bottleneck block leaves than its inner convolution is (He et al. 2016, §4.1)."""


def weight_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Every weight of a dual encoder under its name in the torch module, with its shape."""
    shapes: dict[str, Shape] = {"logit_scale": ()}
    if config.scores == "sigmoid":
        shapes["logit_bias"] = ()
    if isinstance(config.vision, ResNetConfig):
        vision = _resnet(config.vision, config.embed_dim)
    else:
        vision = _vision_transformer(config.vision, config.embed_dim)
    shapes |= {f"vision.{name}": shape for name, shape in vision}
    return shapes | {f"text.{name}": shape for name, shape in _text_transformer(config.text, config.embed_dim)}


def check_shapes(config: ModelConfig, shapes: Mapping[str, Shape]) -> None:
    """Raises CheckpointError naming the first weights that are missing, unknown or misshapen, and their number."""
    expected = weight_shapes(config)
    problems = [f"{name} is missing" for name in expected if name not in shapes]
    problems += [f"{name} is unknown" for name in shapes if name not in expected]
    problems += [
        f"{name} has shape {shapes[name]} instead of {shape}"
        for name, shape in expected.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(f"the weights do not fit their config: {'; '.join(problems[:3])}{more}")


def _linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _blocks(config: VisionTransformerConfig | TextTransformerConfig) -> Iterator[tuple[str, Shape]]:
    width = config.width
    for number in range(config.layers):
        block = f"blocks.{number}"
        yield from _norm(f"{block}.attention_norm", width)
        yield from _linear(f"{block}.attention.qkv", width, 3 * width)
        yield from _linear(f"{block}.attention.output", width, width)
        yield from _norm(f"{block}.mlp_norm", width)
        yield from _mlp(f"{block}.mlp", width, config.mlp_width)


def _mlp(name: str, width: int, mlp_width: int) -> Iterator[tuple[str, Shape]]:
    yield from _linear(f"{name}.up", width, mlp_width)
    yield from _linear(f"{name}.down", mlp_width, width)


def _vision_transformer(config: VisionTransformerConfig, embed_dim: int) -> Iterator[tuple[str, Shape]]:
    width, patch = config.width, config.patch_size
    places = (config.image_size // patch) ** 2
    yield "patch_embedding.weight", (width, 3, patch, patch)
    if config.patch_bias:
        yield "patch_embedding.bias", (width,)
    if config.pool == "class":
        yield "class_embedding", (width,)
    yield "position_embedding", (places + (config.pool == "class"), width)
    if config.input_norm:
        yield from _norm("input_norm", width)
    yield from _blocks(config)
    yield from _norm("output_norm", width)
    if config.pool == "attention":
        yield "head.probe", (width,)
        for name in ("query", "key", "value", "output"):
            yield from _linear(f"head.{name}", width, width)
        yield from _norm("head.norm", width)
        yield from _mlp("head.mlp", width, config.mlp_width)
    if config.projection:
        yield from _linear("projection", width, embed_dim, bias=False)


def _text_transformer(config: TextTransformerConfig, embed_dim: int) -> Iterator[tuple[str, Shape]]:
    yield "token_embedding.weight", (config.vocab_size, config.width)
    yield "position_embedding", (config.context_length, config.width)
    yield from _blocks(config)
    yield from _norm("output_norm", config.width)
    yield from _linear("projection", config.width, embed_dim, config.projection_bias)


def _convolution(name: str, inputs: int, outputs: int, side: int) -> Iterator[tuple[str, Shape]]:
    """A convolution without bias and the BatchNorm behind it; name ends in the number that both carry, if any."""
    yield f"{name}.weight", (outputs, inputs, side, side)
    norm = name.replace("conv", "norm")
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}", (outputs,)


def _resnet(config: ResNetConfig, embed_dim: int) -> Iterator[tuple[str, Shape]]:
    width = config.width
    yield from _convolution("stem.conv1", 3, width // 2, 3)
    yield from _convolution("stem.conv2", width // 2, width // 2, 3)
    yield from _convolution("stem.conv3", width // 2, width, 3)
    inputs = width
    for stage, count in enumerate(config.stage_blocks):
        inner = width * 2**stage
        outputs = inner * RESNET_EXPANSION
        for position in range(count):
            block = f"stages.{stage}.{position}"
            yield from _convolution(f"{block}.conv1", inputs, inner, 1)
            yield from _convolution(f"{block}.conv2", inner, inner, 3)
            yield from _convolution(f"{block}.conv3", inner, outputs, 1)
            if position == 0:
                yield from _convolution(f"{block}.downsample.conv", inputs, outputs, 1)
            inputs = outputs
    yield "pool.position_embedding", ((config.image_size // 32) ** 2 + 1, inputs)
    for name in ("query", "key", "value"):
        yield from _linear(f"pool.{name}", inputs, inputs)
    yield from _linear("pool.output", inputs, embed_dim)
