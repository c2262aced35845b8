"""Texts without padding, and with what they have in common only once.

In a causal tower a token's value depends only on the tokens before it (Radford et al. 2021, §2.4). So texts that begin
alike ('a photo of a ...') share the values of that beginning, and what stands after a text's end is not needed at all.
"""

from __future__ import annotations

import numpy as np


def pack_texts(ids: np.ndarray, ends: np.ndarray) -> dict[str, np.ndarray]:
    """What a packed text graph takes in place of ids (B, L) and ends (B,): all int64.

    tokens (N,) and places (N,): id and position of each different beginning; nodes (B, L'): which of these N each
    token of each text is (any, after its end); chosen (N,): where each of the N stands among the B * L'; ends (B,).
    """
    length = int(ends.max()) + 1
    ids = ids[:, :length]
    inside = np.arange(length) <= ends[:, None]  # (B, L')
    nodes = np.zeros(ids.shape, np.int64)
    tokens, places, chosen = [], [], []
    count, before, most = 0, np.zeros(len(ids), np.int64), int(ids.max()) + 1
    for place in range(length):
        (rows,) = inside[:, place].nonzero()
        # A beginning is the beginning before it and one more token.
        _, first, which = np.unique(before[rows] * most + ids[rows, place], return_index=True, return_inverse=True)
        nodes[rows, place] = before[rows] = count + which
        tokens.append(ids[rows[first], place])
        places.append(np.full(len(first), place))
        chosen.append(rows[first] * length + place)
        count += len(first)
    return {
        "tokens": np.concatenate(tokens).astype(np.int64),
        "places": np.concatenate(places).astype(np.int64),
        "nodes": nodes,
        "chosen": np.concatenate(chosen).astype(np.int64),
        "ends": ends.astype(np.int64),
    }


_TOKENS_STEP, _LENGTH_STEP = 16, 8


def fewer_shapes(packed: dict[str, np.ndarray], context_length: int) -> dict[str, np.ndarray]:
    """The same texts, in arrays whose sides are rounded up; the features' rows beyond the texts mean nothing.

    For a runtime that makes and keeps code for every shape that it sees. Up to 64 texts come in some hundred shapes
    then, and not in some hundred thousand.
    """
    rows, length = packed["nodes"].shape
    more_rows = _rounded_up(rows, _rows_step(rows))
    more_length = min(_rounded_up(length, _LENGTH_STEP), context_length)
    more_tokens = _rounded_up(len(packed["tokens"]), _TOKENS_STEP)
    # What is added is the first token of the first text again, and texts of that token alone.
    nodes = np.zeros((more_rows, more_length), np.int64)
    nodes[:rows, :length] = packed["nodes"]
    row, column = np.divmod(packed["chosen"], length)
    by_token = {"tokens": packed["tokens"], "places": packed["places"], "chosen": row * more_length + column}
    return {
        **{name: _lengthened(values, more_tokens, values[0]) for name, values in by_token.items()},
        "nodes": nodes,
        "ends": _lengthened(packed["ends"], more_rows, 0),
    }


def _rows_step(rows: int) -> int:
    """1 up to 8 rows, 2 up to 16, 4 up to 32: little is computed for nothing."""
    return 1 << max(0, (rows - 1).bit_length() - 3)


def _rounded_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _lengthened(values: np.ndarray, length: int, value: int) -> np.ndarray:
    return np.concatenate([values, np.full(length - len(values), value, np.int64)])
