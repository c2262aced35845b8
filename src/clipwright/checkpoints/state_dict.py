"""The names in a state dict as the families know them, less what training code puts around a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of names by torch: DataParallel and its kin, torch.compile, FSDP, activation checkpointing. They may stand in
the middle of a name, where only a tower was wrapped."""
_IMAGE_TOWERS = ("visual.", "vision_model.", "vision.")
"""How the names of an image tower begin in every family. A name that does so has nothing before it."""
_NO_WEIGHTS = frozenset({"n_averaged"})
"""Kept beside a model's weights by torch's AveragedModel."""
_HEAD = "classification_head."
"""Of WiSE-FT (Wortsman et al. 2022): labels as a linear layer on top of the embeddings."""
logger = logging.getLogger(__name__)


def bare_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors without wrappers and without the one prefix that all their names share, whatever it is.

    Names that are no model's without it stay as they are. WiSE-FT's classification head is left out, with a warning.
    """
    names = {name: ".".join(part for part in name.split(".") if part not in _WRAPPERS) for name in tensors}
    head = [name for name, bare in names.items() if bare.startswith(_HEAD)]
    names = {name: bare for name, bare in names.items() if bare not in _NO_WEIGHTS and name not in head}
    while names and not any(bare.startswith(_IMAGE_TOWERS) for bare in names.values()):
        firsts = {bare.partition(".")[0] for bare in names.values()}
        names = {name: bare.partition(".")[2] for name, bare in names.items()}
        if len(firsts) > 1 or not all(names.values()):
            return dict(tensors)
    if not names or len(set(names.values())) < len(names):
        return dict(tensors)
    if head:
        logger.warning("the classification head beside the model is left out: %s", ", ".join(sorted(head)))
    return {bare: tensors[name] for name, bare in names.items()}
