"""Texts get the ids that transformers 5.23.0 gives them, by whatever files a folder's tokenizer is told.

ids.json in tests/data/clip_vocabulary and tests/data/gemma holds what AutoTokenizer gave for the vocabulary beside it,
with padding="max_length", max_length=16 and truncation=True. Both have 600 symbols or less, learned from this project's
documents.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipwright.checkpoints.checkpoint import Checkpoint
from clipwright.checkpoints.families.huggingface import read_huggingface
from clipwright.checkpoints.folder import read_checkpoint
from clipwright.checkpoints.load import load_model
from clipwright.checkpoints.ready_graphs import ReadyGraphs
from clipwright.checkpoints.save import Layout, save_checkpoint
from clipwright.checkpoints.small_files import read_json, tokenizer_files
from clipwright.embedding.backend import BACKENDS, BackendName
from clipwright.embedding.embedder import unit_rows
from clipwright.embedding.load import embedder_from, load_embedder
from clipwright.errors import CheckpointError, TokenizerError
from clipwright.inputs.openai_vocabulary import OPENAI_VOCAB_SIZE, openai_tokenizer
from clipwright.inputs.tokenizer import Tokenizer
from tests.checkpoints.peers import run_peer
from tests.graph_folders import as_openvino, write_joint, write_pair, write_transformers_js
from tests.support import DATA, REFERENCE

CLIP: dict[str, Any] = json.loads((DATA / "clip_vocabulary" / "ids.json").read_text(encoding="utf-8"))
GEMMA: dict[str, Any] = json.loads((DATA / "gemma" / "ids.json").read_text(encoding="utf-8"))
DOCUMENT: dict[str, Any] = json.loads((DATA / "gemma" / "tokenizer.json").read_text(encoding="utf-8"))
NAMES = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}


def write(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def clip_folder(folder: Path, **files: Any) -> Path:
    """A small CLIP whose tokenizer is vocab.json and merges.txt, and these files."""
    shutil.copytree(REFERENCE / "hf-clip", folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(DATA / "clip_vocabulary" / name, folder)
    write(folder, **files)
    return folder


def in_layout(folder: Path, layout: str, source: Path) -> str:
    """The name of the same model as this folder in Hugging Face's layout, in another one."""
    checkpoint = read_checkpoint(source)
    if layout == "a graph for each tower":
        return "+".join(map(str, write_pair(folder / "vision", folder / "text", checkpoint, source)))
    if layout == "sentence-transformers":
        shutil.copytree(source, folder / "0_CLIPModel")
        write(folder, **{"modules.json": [{"type": "sentence_transformers.models.CLIPModel"}]})
    elif layout == "OpenVINO":
        as_openvino(write_joint(folder, checkpoint, source), ("model.onnx", "openvino_model.xml"))
    else:
        write_transformers_js(folder, checkpoint, source)
    return str(folder)


def siglip_folder(folder: Path, settings: dict[str, Any] | None, **change: Any) -> Path:
    """A small SigLIP with SigLIP 2's kind of tokenizer: tokenizer_config.json, and what is other in tokenizer.json."""
    shutil.copytree(REFERENCE / "hf-siglip", folder)
    write(folder, **{"tokenizer.json": DOCUMENT | change})
    if settings is not None:
        write(folder, **{"tokenizer_config.json": settings})
    return folder


def ids(checkpoint: Checkpoint | ReadyGraphs, texts: list[str], length: int = 16) -> list[list[int]]:
    """Of each text, padded to this length on the right where they are not padded yet."""
    rows = Tokenizer(str(checkpoint.tokenizer), checkpoint.spec).encode(texts).ids
    missing = length - rows.shape[1]
    return np.pad(rows, [(0, 0), (0, missing)], constant_values=checkpoint.spec.pad_id).tolist()  # type: ignore[no-any-return]


# vocab.json and merges.txt


@pytest.mark.parametrize("case", CLIP["cases"], ids=lambda case: case["case"])
def test_a_vocabulary_in_two_files_gives_the_ids_of_transformers(tmp_path: Path, case: dict[str, Any]) -> None:
    checkpoint = read_checkpoint(clip_folder(tmp_path / "model", **case["files"]))
    assert ids(checkpoint, CLIP["texts"]) == case["ids"]


def test_a_vocabulary_as_large_as_openais_is_not_taken_for_it(tmp_path: Path) -> None:
    """The same merges under other numbers."""
    model = json.loads(openai_tokenizer())["model"]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    vocabulary = {word: number for number, word in enumerate([*words[1000:], *words[:1000]])}
    vocabulary |= {"<|startoftext|>": OPENAI_VOCAB_SIZE - 2, "<|endoftext|>": OPENAI_VOCAB_SIZE - 1}
    assert len(vocabulary) == OPENAI_VOCAB_SIZE
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder, **{"vocab.json": vocabulary})
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model["merges"]), encoding="utf-8")
    config = json.loads((REFERENCE / "hf-clip" / "config.json").read_text())
    config["text_config"] |= {"vocab_size": OPENAI_VOCAB_SIZE, "eos_token_id": 49407, "bos_token_id": 49406}
    preprocessor = read_json(REFERENCE / "hf-clip" / "preprocessor_config.json")
    checkpoint = read_huggingface(config, preprocessor, {}, *tokenizer_files(folder))
    assert ids(checkpoint, ["a photo"])[0][:4] == [
        OPENAI_VOCAB_SIZE - 2,
        vocabulary["a</w>"],
        vocabulary["photo</w>"],
        OPENAI_VOCAB_SIZE - 1,
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.partition("\n")[2],
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text + "\n\n",
        lambda text: text.replace("#version: 0.2", '"bpe_simple_vocab_16e6.txt#version: 0.2'),
    ],
    ids=["no version", "lines of Windows", "byte order mark", "blank lines", "OpenAI's first line"],
)
def test_merges_are_read_however_they_were_saved(tmp_path: Path, change: Callable[[str], str]) -> None:
    folder = clip_folder(tmp_path / "model")
    merges = folder / "merges.txt"
    merges.write_bytes(change(merges.read_text(encoding="utf-8")).encode())
    assert ids(read_checkpoint(folder), CLIP["texts"]) == CLIP["cases"][0]["ids"]


def test_tokenizer_json_counts_before_vocabularies(tmp_path: Path) -> None:
    """As in transformers."""
    fewer = clip_folder(tmp_path / "fewer")
    merges = (fewer / "merges.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (fewer / "merges.txt").write_text("".join(merges[:20]), encoding="utf-8")
    both = clip_folder(tmp_path / "both", **{"tokenizer_config.json": {"pad_token": "<|endoftext|>"}})
    (both / "tokenizer.json").write_text(str(read_checkpoint(fewer).tokenizer), encoding="utf-8")
    assert ids(read_checkpoint(both), CLIP["texts"]) == ids(read_checkpoint(fewer), CLIP["texts"])
    assert ids(read_checkpoint(both), CLIP["texts"]) != CLIP["cases"][0]["ids"]


@pytest.mark.parametrize(
    ("files", "removed", "sentence"),
    [
        (
            {},
            ["merges.txt"],
            r"lacks merges\.txt; vocab\.json and merges\.txt are one tokenizer; add its tokenizer\.json",
        ),
        ({}, ["vocab.json"], r"lacks vocab\.json"),
        (
            {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizerFast"}},
            [],
            "vocab.json of a RobertaTokenizer,",
        ),
        (
            {"vocab.txt": "[PAD]"},
            ["vocab.json", "merges.txt"],
            r"vocab\.txt' is a vocabulary like BERT's, which is not read",
        ),
        ({"added_tokens.json": {"<cat>": 700}}, [], "'<cat>' is to have the id 700, but is given 600"),
        ({"tokenizer_config.json": {"added_tokens_decoder": {"a": 1}}}, [], "added tokens cannot be read"),
        ({"vocab.json": {"a": "b"}}, [], r"vocab\.json must hold a table of symbols and their ids"),
        ({"vocab.json": {"a": 0}}, [], r"vocab\.json and merges\.txt do not fit each other"),
        ({"merges.txt": "a b c"}, [], r"merges\.txt: line 1 must be two symbols"),
    ],
)
def test_vocabularies_that_cannot_be_read_are_refused_by_what_they_are(
    tmp_path: Path, files: dict[str, Any], removed: list[str], sentence: str
) -> None:
    folder = clip_folder(tmp_path / "model", **files)
    for name in removed:
        (folder / name).unlink()
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(folder)


def test_openais_vocabulary_does_not_stand_in_for_a_tokenizer_of_another_kind() -> None:
    config = json.loads((REFERENCE / "hf-clip" / "config.json").read_text())
    config["text_config"]["vocab_size"] = OPENAI_VOCAB_SIZE
    preprocessor = read_json(REFERENCE / "hf-clip" / "preprocessor_config.json")
    with pytest.raises(CheckpointError, match=r"is of a XLMRobertaTokenizer, whose tokenizer\.json is not there"):
        read_huggingface(config, preprocessor, {}, None, {"tokenizer_class": "XLMRobertaTokenizer"})


def test_a_tokenizer_with_more_ids_than_the_tower_is_refused(tmp_path: Path) -> None:
    """OpenVINO reads whatever lies behind the token embeddings; the others end in a traceback of their own."""
    framed = clip_folder(tmp_path / "framed")
    config = json.loads((framed / "config.json").read_text())
    checkpoint = read_checkpoint(framed)
    fewer = replace(checkpoint, config=replace(checkpoint.config, text=replace(checkpoint.config.text, vocab_size=599)))
    with pytest.raises(TokenizerError, match=r"which knows 599 ids: it frames texts with the id 599"):
        embedder_from(fewer, "model")
    assert config["text_config"]["vocab_size"] == 600
    added = read_checkpoint(clip_folder(tmp_path / "added", **{"added_tokens.json": {"<cat>": 600}}))
    embedder = embedder_from(added, "model")
    assert embedder.embed_texts(["a cat"]).shape == (1, checkpoint.embed_dim)
    with pytest.raises(TokenizerError, match=r"which knows 600 ids: it makes of a text the id 600"):
        embedder.embed_texts(["a <cat>"])


@pytest.mark.parametrize("layout", ["sentence-transformers", "transformers.js", "a graph for each tower", "OpenVINO"])
def test_both_hold_in_every_layout(tmp_path: Path, layout: str) -> None:
    source = clip_folder(tmp_path / "source", **{"added_tokens.json": {"<cat>": 600}})
    name = in_layout(tmp_path / "model", layout, source)
    model = load_model(name)
    assert ids(model, CLIP["texts"]) == ids(read_checkpoint(source), CLIP["texts"])
    assert {"vocab.json", "merges.txt", "added_tokens.json"} <= {file.name for file in model.files}
    with pytest.raises(TokenizerError, match=r"which knows 600 ids: it makes of a text the id 600"):
        load_embedder(name).embed_texts(["a <cat>"])


# SigLIP 2


@pytest.mark.parametrize("case", GEMMA["cases"], ids=lambda case: case["case"])
def test_siglip_2s_tokenizers_give_the_ids_of_transformers(tmp_path: Path, case: dict[str, Any]) -> None:
    checkpoint = read_checkpoint(siglip_folder(tmp_path / "model", case["settings"], **case["document"]))
    assert ids(checkpoint, GEMMA["texts"]) == case["ids"]


@pytest.mark.parametrize(
    ("settings", "cleaning"),
    [
        ({"tokenizer_class": "GemmaTokenizer"}, "none"),
        ({"tokenizer_class": "GemmaTokenizer", "do_lower_case": False}, "none"),
        ({"tokenizer_class": "GemmaTokenizerFast", "do_lower_case": True}, "none"),
        ({"tokenizer_class": "Siglip2Tokenizer"}, "lower_case"),
        ({"tokenizer_class": "TokenizersBackend"}, "none"),
    ],
)
def test_capitals_are_kept_unless_the_files_say_otherwise(
    tmp_path: Path, settings: dict[str, Any], cleaning: str
) -> None:
    checkpoint = read_checkpoint(siglip_folder(tmp_path / "model", {**settings, **NAMES}))
    assert checkpoint.spec.text_cleaning == cleaning
    lower, upper = ids(checkpoint, ["a photo of a cat", "A Photo of a CAT"])
    assert (lower == upper) == (cleaning == "lower_case")


def test_a_document_that_makes_lower_case_by_itself_counts(tmp_path: Path) -> None:
    steps = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, DOCUMENT["normalizer"]]}
    settings = {"tokenizer_class": "GemmaTokenizer", **NAMES}
    checkpoint = read_checkpoint(siglip_folder(tmp_path / "model", settings, normalizer=steps))
    lower, upper = ids(checkpoint, ["a photo of a cat", "A Photo of a CAT"])
    assert lower == upper


@pytest.mark.parametrize("backend", BACKENDS)
def test_padding_on_the_left_reaches_the_tower(tmp_path: Path, backend: BackendName) -> None:
    """Its features are those of ids that stand there by hand; padding elsewhere gives others."""
    folders = {side: siglip_folder(tmp_path / side, {"padding_side": side, **NAMES}) for side in ("left", "right")}
    embedders = {
        side: embedder_from(read_checkpoint(folder), side, backend=backend) for side, folder in folders.items()
    }
    tokens = embedders["right"].tokenize(["a photo of a cat"])
    length = int(tokens.ends[0]) + 1
    by_hand = np.array([[0] * (16 - length) + tokens.ids[0, :length].tolist()])
    left, right = (embedders[side].embed_texts(["a photo of a cat"]) for side in ("left", "right"))
    features = embedders["left"].text_features(by_hand)
    assert np.allclose(left, features / np.linalg.norm(features), atol=1e-6)
    assert not np.allclose(left, right, atol=1e-2)


def test_texts_without_an_end_are_read_at_the_last_place(tmp_path: Path) -> None:
    case = next(case for case in GEMMA["cases"] if case["case"] == "no frame")
    folder = siglip_folder(tmp_path / "model", case["settings"], **case["document"])
    embedder = embedder_from(read_checkpoint(folder), "model")
    features = embedder.text_features(np.array(case["ids"]))
    assert np.allclose(embedder.embed_texts(GEMMA["texts"]), unit_rows(features), atol=1e-6)


@pytest.mark.parametrize("layout", ["clipwright", "huggingface"])
@pytest.mark.parametrize("case", GEMMA["cases"], ids=lambda case: case["case"])
def test_a_layout_keeps_how_texts_are_framed(tmp_path: Path, case: dict[str, Any], layout: Layout) -> None:
    checkpoint = read_checkpoint(siglip_folder(tmp_path / "model", case["settings"], **case["document"]))
    save_checkpoint(checkpoint, tmp_path / "saved", layout)
    assert ids(read_checkpoint(tmp_path / "saved"), GEMMA["texts"]) == case["ids"]


# What a tower cannot read


def test_padding_on_the_left_is_refused_where_a_text_would_be_moved_by_it(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "model", **{"tokenizer_config.json": {"padding_side": "left"}})
    with pytest.raises(
        CheckpointError, match=r"model'.*padded on the left, which a text tower like CLIP's cannot read"
    ):
        read_checkpoint(folder)


def test_a_side_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = siglip_folder(tmp_path / "model", {"padding_side": "middle"})
    with pytest.raises(CheckpointError, match="padding_side is 'middle'; 'right' and 'left' are known"):
        read_checkpoint(folder)


def test_a_document_that_does_not_end_texts_is_refused_where_they_are_read_at_their_end(tmp_path: Path) -> None:
    document = json.loads(str(read_checkpoint(clip_folder(tmp_path / "one")).tokenizer))
    folder = clip_folder(tmp_path / "two", **{"tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}})
    document["post_processor"] = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": True,
    }
    write(folder, **{"tokenizer.json": document})
    with pytest.raises(CheckpointError, match="puts nothing behind a text, but the text tower reads at a text's end"):
        read_checkpoint(folder)


# The other way round: what a document frames with is what is read


def test_a_tokenizer_of_another_kind_frames_texts_as_its_document_says(tmp_path: Path) -> None:
    document = json.loads(str(read_checkpoint(clip_folder(tmp_path / "one")).tokenizer))
    document["post_processor"] = {"type": "BertProcessing", "sep": ["b", 65], "cls": ["a", 64]}
    folder = clip_folder(tmp_path / "two", **{"tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}})
    write(folder, **{"tokenizer.json": document})
    spec = read_checkpoint(folder).spec
    assert (spec.start_id, spec.end_id) == (64, 65)


TRANSFORMERS = """
import json, sys
from transformers import AutoTokenizer
folder, texts, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
settings = {"padding": "max_length", "max_length": 16, "truncation": True}
json.dump([tokenizer(text, **settings)["input_ids"] for text in json.load(open(texts))], open(out, "w"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "gemma"])
def test_hundreds_of_odd_texts_get_the_ids_of_transformers(tmp_path: Path, kind: str) -> None:
    chance = random.Random(0)
    words = " ".join(path.read_text(encoding="utf-8") for path in Path("docs").rglob("*.md")).split()

    def piece() -> str:
        return chance.choice(
            [" ", "\t", "!", "<|endoftext|>", "<pad>", chr(chance.randrange(32, 0x2FFF)), chance.choice(words)]
        )

    texts = ["".join(piece() for _ in range(chance.randrange(1, 30))) for _ in range(400)]
    folder = (
        clip_folder(tmp_path / "model")
        if kind == "clip"
        else siglip_folder(tmp_path / "model", GEMMA["cases"][3]["settings"])
    )
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    run_peer(TRANSFORMERS, folder, tmp_path / "texts.json", tmp_path / "rows.json")
    assert ids(read_checkpoint(folder), texts) == json.loads((tmp_path / "rows.json").read_text())
