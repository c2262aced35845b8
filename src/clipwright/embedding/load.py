"""From the name of a model to an Embedder."""

from __future__ import annotations

import importlib.util
import logging
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.load import load_model
from clipwright.checkpoints.model_file import UNFINISHED
from clipwright.embedding.backend import Backend, BackendName, Precision
from clipwright.embedding.cache import ModelCache, Shelf
from clipwright.embedding.embedder import Embedder, Pixels
from clipwright.errors import ClipwrightError, MissingExtraError
from clipwright.inputs.tokenizer import Tokenizer

if TYPE_CHECKING:
    from clipwright.checkpoints.ready_graphs import ReadyGraphs

BackendChoice = Literal["auto", "onnx", "openvino", "torch"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "int8"]
"""auto, for bulk work: the fastest backend that is installed, in bf16 where there are units for it, else in fp32."""
logger = logging.getLogger(__name__)
_X86 = ("x86_64", "AMD64", "i686")


def load_embedder(
    name: str | Path,
    *,
    threads: int | None = None,
    pixels: Pixels = "exact",
    backend: BackendChoice | None = None,
    precision: PrecisionChoice = "fp32",
    compiled: bool = False,
    strict_length: bool = False,
    few_texts: bool = False,
) -> Embedder:
    """The embedder of a model: 'starter', a published one's short name, a file or folder, or a repository of the hub.

    What may stand behind such a name: docs/guides/models.md.

    threads bounds the processor cores that the towers use; None takes all. pixels: exact as the model's maker prepares
    them, or fast, which decodes large JPEGs at a fraction of their size. backend: None is ONNX Runtime, or what the
    precision asks for. compiled: through torch.compile, which takes a minute at first and pays in long runs on CUDA.
    strict_length: whether a text beyond the context is an error. few_texts: for a process that embeds a few texts and
    ends: where they are computed in fp32, no runtime is started for them.
    Raises UnknownModelError where there is no such model, CheckpointError where its files are damaged, and
    ClipwrightError where this machine lacks what backend and precision ask for.
    """
    model = load_model(name)
    if not isinstance(model, Checkpoint):
        return embedder_of_graphs(
            model,
            str(name),
            threads=threads,
            pixels=pixels,
            backend=backend,
            precision=precision,
            compiled=compiled,
            strict_length=strict_length,
        )
    return embedder_from(
        model,
        str(name),
        threads=threads,
        pixels=pixels,
        backend=backend,
        precision=precision,
        compiled=compiled,
        strict_length=strict_length,
        few_texts=few_texts,
    )


def embedder_from(
    checkpoint: Checkpoint,
    name: str,
    *,
    threads: int | None = None,
    pixels: Pixels = "exact",
    backend: BackendChoice | None = None,
    precision: PrecisionChoice = "fp32",
    compiled: bool = False,
    strict_length: bool = False,
    few_texts: bool = False,
) -> Embedder:
    """The embedder of a checkpoint, called by this name in messages."""
    cache = ModelCache()
    space_id = cache.space_id(checkpoint)
    shelf = Shelf(cache, space_id)
    chosen, computed_in = choose(backend, precision)
    runs: Backend
    if few_texts and computed_in == "fp32" and chosen != "torch":
        from clipwright.embedding.backends.few_texts import FewTextsBackend

        runs = FewTextsBackend(
            checkpoint,
            chosen,
            lambda: open_backend(checkpoint, threads, chosen, computed_in, shelf, compiled=compiled),
        )
    else:
        runs = open_backend(checkpoint, threads, backend, precision, shelf, compiled=compiled)
    return embedder_on(runs, checkpoint, name, space_id, pixels, strict_length=strict_length)


def embedder_on(
    backend: Backend,
    model: Checkpoint | ReadyGraphs,
    name: str,
    space_id: str,
    pixels: Pixels = "exact",
    *,
    strict_length: bool = False,
) -> Embedder:
    """The embedder of a model whose towers run on this backend."""
    if UNFINISHED in model.provenance:
        logger.warning("%s is in the middle of its training: %s", name, model.provenance[UNFINISHED])
    tokenizer = None
    if model.tokenizer is not None:
        known = model.config.text if isinstance(model, Checkpoint) else model
        tokenizer = Tokenizer(model.tokenizer, model.spec, known.vocab_size)
    return Embedder(
        name=name,
        space_id=space_id,
        embed_dim=model.embed_dim,
        scale=model.scale,
        spec=model.spec,
        tokenizer=tokenizer,
        backend=backend,
        bias=model.bias,
        pixels=pixels,
        strict_length=strict_length,
    )


def embedder_of_graphs(
    graphs: ReadyGraphs,
    name: str,
    *,
    threads: int | None = None,
    pixels: Pixels = "exact",
    backend: BackendChoice | None = None,
    precision: PrecisionChoice = "fp32",
    compiled: bool = False,
    strict_length: bool = False,
) -> Embedder:
    """The embedder of ready graphs, called by this name in messages.

    Raises ClipwrightError where another backend or precision is asked for by name than theirs; fp32 is what is meant
    where nothing is said.
    """
    runtime = "ONNX Runtime" if graphs.runtime == "onnx" else "OpenVINO"
    for option, asked, known in (("backend", backend, graphs.runtime), ("precision", precision, graphs.precision)):
        if asked not in (None, "auto", "fp32", known):
            raise ClipwrightError(
                f"{name} holds ready graphs ({graphs.precision}), which run as they are, on {runtime}; leave out"
                f" --{option} {asked}"
            )
    if compiled:
        raise ClipwrightError(f"{name} holds ready graphs, which are not compiled; leave out --compile")
    if graphs.scores == "sigmoid" and graphs.bias is None:
        logger.warning(
            "%s holds ready graphs, but not SigLIP's scale and bias: classify's probabilities are shares among the"
            " labels, not one for each label by itself; embeddings and similarities are not affected",
            name,
        )
    from clipwright.embedding.backends.ready_graphs import ReadyGraphsBackend

    space_id = ModelCache().space_id(graphs)
    return embedder_on(ReadyGraphsBackend(graphs, threads), graphs, name, space_id, pixels, strict_length=strict_length)


def open_backend(
    checkpoint: Checkpoint,
    threads: int | None = None,
    backend: BackendChoice | None = None,
    precision: PrecisionChoice = "fp32",
    shelf: Shelf | None = None,
    *,
    compiled: bool = False,
) -> Backend:
    """What runs the towers of this checkpoint. Raises ClipwrightError where the machine lacks what is asked for."""
    name, chosen = choose(backend, precision)
    if compiled and name != "torch":
        raise ClipwrightError(f"{name} compiles by itself; --compile goes with --backend torch")
    if name == "onnx":
        from clipwright.embedding.backends.onnx import OnnxBackend

        return OnnxBackend(checkpoint, threads, chosen, shelf)
    if name == "openvino":
        if importlib.util.find_spec("openvino") is None:
            raise MissingExtraError("--backend openvino", "openvino")
        from clipwright.embedding.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(checkpoint, threads, chosen, shelf)
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("--backend torch", "train")
    from clipwright.embedding.backends.torch import TorchBackend

    return TorchBackend.from_checkpoint(checkpoint, threads, chosen, compiled=compiled)


def choose(backend: BackendChoice | None, precision: PrecisionChoice) -> tuple[BackendName, Precision]:
    """The backend and the precision that these mean on this machine.

    No backend named: ONNX Runtime, but for bf16, which it has not, and where the precision is left to the machine.
    """
    if backend is None:
        backend = "auto" if precision in ("auto", "bf16") else "onnx"
    if backend == "auto":
        backend = _fastest()
    if precision != "auto":
        return backend, precision
    return backend, "bf16" if _has_bf16(backend) else "fp32"


def _fastest() -> BackendName:
    if _has_cuda():
        return "torch"
    pays = platform.machine() in _X86 and importlib.util.find_spec("openvino") is not None
    return "openvino" if pays else "onnx"


def _has_cuda() -> bool:
    """Asks torch, which takes its time to import, only where there is a driver."""
    driver = Path("/dev/nvidiactl").exists() or Path("C:/Windows/System32/nvcuda.dll").exists()
    if not driver or importlib.util.find_spec("torch") is None:
        return False
    from clipwright.embedding.backends.torch import has_cuda

    return has_cuda()


def _has_bf16(backend: BackendName) -> bool:
    if backend == "openvino" and importlib.util.find_spec("openvino") is not None:
        from clipwright.embedding.backends.openvino import has_bf16

        return has_bf16()
    return backend == "torch" and _has_cuda()
