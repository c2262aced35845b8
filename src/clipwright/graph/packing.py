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
