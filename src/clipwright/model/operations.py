"""The arithmetic that the towers take, counted from a config. No torch here.

Counted are the multiply-adds of convolutions, linear layers and attention, as the graphs of graph/ compute them; all
else (norms, activations, softmax) is small beside them. A published architecture counts for a little more: it takes
its last block for all tokens, where our graphs take what is behind the keys and values only for the token that is read.
"""

from __future__ import annotations

from clipwright.model.config import ModelConfig, ResNetConfig, TextTransformerConfig, VisionTransformerConfig
from clipwright.model.shapes import RESNET_EXPANSION


def image_multiply_adds(config: ModelConfig) -> int:
    """Multiply-adds of the image tower for one picture."""
    if isinstance(config.vision, ResNetConfig):
        return _resnet(config.vision, config.embed_dim)
    return _vision_transformer(config.vision, config.embed_dim)


def text_multiply_adds(config: ModelConfig, texts: int, length: int, tokens: int) -> int:
    """Multiply-adds of the text tower for a batch of B texts of L tokens, padding included.

    tokens: the N different ones among the B x L that are computed: B x L of them, or fewer where a batch is packed.
    """
    text = config.text
    blocks = (text.layers - 1) * _block(text, texts, length, tokens) + _last_block(text, texts, length, tokens)
    return blocks + texts * text.width * config.embed_dim


def _block(config: VisionTransformerConfig | TextTransformerConfig, rows: int, length: int, tokens: int) -> int:
    """N (4 W² + 2 W M) for the linear layers, and 2 B L² W for every token looking at every other."""
    width = config.width
    return tokens * (4 * width**2 + 2 * width * config.mlp_width) + 2 * rows * length**2 * width


def _last_block(config: VisionTransformerConfig | TextTransformerConfig, rows: int, length: int, tokens: int) -> int:
    """2 N W² for the keys and values; the rest for one token a row: B (2 W² + 2 W M) and 2 B L W."""
    return 2 * tokens * config.width**2 + rows * _reading(config, length)


def _reading(config: VisionTransformerConfig | TextTransformerConfig, length: int) -> int:
    """One token that looks at others and passes the rest of a block: 2 W² + 2 W M + 2 L W."""
    width = config.width
    return 2 * width**2 + 2 * width * config.mlp_width + 2 * length * width


def _vision_transformer(config: VisionTransformerConfig, embed_dim: int) -> int:
    """P patches of 3 p² values to W each, the blocks, the head where there is one, and W D for the projection."""
    width, places = config.width, (config.image_size // config.patch_size) ** 2
    total = places * 3 * config.patch_size**2 * width
    if config.pool == "class":
        length = places + 1
        total += (config.layers - 1) * _block(config, 1, length, length) + _last_block(config, 1, length, length)
    else:
        # The head is a last block whose query is the same for all pictures, so that it is no arithmetic.
        total += config.layers * _block(config, 1, places, places) + _last_block(config, 1, places, places) - width**2
    return total + (width * embed_dim if config.projection else 0)


def _resnet(config: ResNetConfig, embed_dim: int) -> int:
    """h² k² c c' for a convolution of side k from c to c' channels with h x h places; then attention of one token.

    That takes 2 L W² for keys and values of the L = P + 1 tokens, W² for the query, 2 L W to look and W D at its end.
    """
    width, side = config.width, config.image_size // 2
    total = side**2 * 9 * (3 * (width // 2) + (width // 2) ** 2 + (width // 2) * width)
    side //= 2
    inputs = width
    for stage, count in enumerate(config.stage_blocks):
        inner = width * 2**stage
        outputs = inner * RESNET_EXPANSION
        for position in range(count):
            before = side**2 * (inputs * inner + 9 * inner**2)
            side = side // 2 if stage > 0 and position == 0 else side
            after = side**2 * (inner * outputs + (inputs * outputs if position == 0 else 0))
            total += before + after
            inputs = outputs
    length = side**2 + 1
    return total + (2 * length + 1) * inputs**2 + 2 * length * inputs + inputs * embed_dim
