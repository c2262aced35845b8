"""Pictures that come as arrays of NumPy or as tensors of other libraries, none of which is imported for that."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from PIL import Image

from clipwright.errors import ImageError

CHANNELS = (1, 3, 4)
"""How many an array may have: grey, RGB, RGB and alpha."""


class SupportsArray(Protocol):
    """A tensor of torch, JAX or TensorFlow, or whatever else NumPy makes an array of."""

    def __array__(self, dtype: Any = ..., /) -> Any: ...


def as_array(source: object) -> np.ndarray | None:
    """The array that a picture is, of shape (H, W) or (H, W, C); None for a path, bytes, and a Pillow picture.

    torch has (C, H, W) too. Raises ImageError for what is none of these, and for tensors that cannot be brought here or
    do not say where their colours are.
    """
    if isinstance(source, np.ndarray):
        return source
    if isinstance(source, str | bytes | os.PathLike | Image.Image):
        return None
    kind = type(source).__name__
    if not hasattr(source, "__array__"):
        raise ImageError(
            "not_an_image",
            f"a value of type {kind} is no picture; a path, a file's bytes, a Pillow picture or an array is",
        )
    try:
        if hasattr(source, "detach"):
            return _of_torch(source)
        return np.asarray(source)
    except ImageError:
        raise
    except Exception as error:  # each library has its own
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ImageError("not_an_image", f"this {kind} cannot be made an array of NumPy ({reason})") from error


def _of_torch(tensor: Any) -> np.ndarray:
    """With its colours last. They stand first in torch's own pictures, and last in those that came from an array."""
    shape = tuple(tensor.shape)
    first, last = (len(shape) == 3 and shape[axis] in CHANNELS for axis in (0, 2))
    if first and last:
        raise ImageError(
            "not_an_image",
            f"a tensor of shape {shape} may have its colours first or last; give an array (H, W, 3), or resize it",
        )
    if len(shape) != 2 and not (first or last):
        raise ImageError("not_an_image", f"a tensor of shape {shape} is no picture; (3, H, W) and (H, W, 3) are")
    here = tensor.detach().cpu()
    array = np.asarray(here.float() if "bfloat16" in str(here.dtype) else here)  # NumPy has no bfloat16
    return array.transpose(1, 2, 0) if first else array
