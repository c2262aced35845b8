"""How fast is `clipwright serve` beside infinity, with the same ViT-B/32 folder on the same machine?

Both are sent the same requests by the same load generator: 64 clients with one 224 px JPEG each, 64 clients with one
sentence each, and one client with one sentence. Servers take turns, round after round; those that wait sleep. infinity
(`infinity-emb[server,torch,vision]`) is installed in an environment of its own and runs its torch engine in fp32. Ours
runs as `clipwright serve` does without options, and with `--precision fp32`. Beforehand both embed the same sentence
and picture, and the vectors must be near.
Run: python benchmarks/serving_against_infinity.py FOLDER --infinity VENV/bin/infinity_emb [--rounds 3] [--seconds 15]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from load_generator import Answers, Load, send
from machine import describe
from running_servers import RunningServer, clipwright_server, infinity_server
from serving_inputs import jpegs, picture_bodies, sentences, text_bodies, vectors_of

CLIENTS = 64
PICTURES, SENTENCES = 256, 20_000
DOG = "a dog on a beach"
_NEAR = 0.99
"""Cosine. Pictures are resized alike at this size; bf16 and decoders leave small differences."""


def version(program: Path) -> str:
    code = (
        "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in ('infinity-emb', 'torch')), sep=', ')"
    )
    python = program.with_name("python")
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def embedded(server: RunningServer, body: bytes) -> np.ndarray:
    """(D,) float32."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{server.path}", body)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return np.asarray(vectors_of(json.load(answer))[0])


def check_same(servers: Sequence[RunningServer], picture: bytes) -> None:
    """Ends the program where servers give different vectors."""
    for what in ("picture", "sentence"):
        vectors = []
        for server in servers:
            made = picture_bodies(server.model, [picture]) if what == "picture" else text_bodies(server.model, [DOG])
            vectors.append(embedded(server, made[0]))
        for server, vector in zip(servers[1:], vectors[1:], strict=True):
            cosine = float(vectors[0] @ vector)
            print(f"- cosine of {servers[0].name}'s and {server.name}'s vectors of one {what}: {cosine:.5f}")
            if cosine < _NEAR:
                raise SystemExit("they do not compute the same")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--infinity", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--port", type=int, default=8601)
    options = parser.parse_args()
    print(f"# clipwright serve and infinity\n\n{describe()}\n- {version(options.infinity)}")
    print(
        f"- {options.folder.name}; {options.rounds} rounds in turns, {options.seconds:.0f} s each, a third not counted"
    )
    with contextlib.ExitStack() as stack:
        name, port = str(options.folder), options.port
        servers = [
            stack.enter_context(infinity_server(options.infinity, options.folder, port)),
            stack.enter_context(clipwright_server(name, port + 1, name="clipwright")),
            stack.enter_context(clipwright_server(name, port + 2, ["--precision", "fp32"], name="clipwright, fp32")),
        ]
        pictures, seeds = jpegs(PICTURES), itertools.count()
        check_same(servers, pictures[0])
        found: dict[tuple[str, str], list[Answers]] = {}
        others: list[float] = []
        for _ in range(options.rounds):
            for what, clients in (("pictures", CLIENTS), ("sentences", CLIENTS), ("one sentence", 1)):
                for server in servers:
                    if what == "pictures":
                        bodies = picture_bodies(server.model, pictures)
                    else:
                        bodies = text_bodies(server.model, sentences(SENTENCES, next(seeds)))
                    load = Load(
                        port=server.port,
                        path=server.path,
                        bodies=bodies,
                        clients=clients,
                        seconds=options.seconds,
                        warm_up=options.seconds / 3,
                    )
                    used = server.processor_seconds()
                    answers = send(load)
                    if not answers.all_good:
                        raise SystemExit(f"{server.name} answered {answers.statuses}")
                    cores = (server.processor_seconds() - used) / answers.wall_seconds
                    others.append(max(0.0, answers.busy_cores - answers.cores - cores))
                    found.setdefault((what, server.name), []).append(answers)
        resident = {server.name: server.resident_bytes() for server in servers}
    print(f"- other work on the machine meanwhile: {statistics.median(others):.2f} cores, at most {max(others):.2f}")
    report(found, [server.name for server in servers], resident)


def report(found: dict[tuple[str, str], list[Answers]], names: Sequence[str], resident: dict[str, int]) -> None:
    print(f"\n| medians of rounds | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")

    def figures(what: str, kind: str, name: str) -> list[float]:
        answers = found[what, name]
        if kind == "rate":
            return [of_round.rate for of_round in answers]
        if kind == "cores":
            return [of_round.cores for of_round in answers]
        return [1000 * of_round.percentile(float(kind)) for of_round in answers]

    rows = (
        ("images/s, 64 clients", "pictures", "rate"),
        ("p50 ms", "pictures", "50"),
        ("p99 ms", "pictures", "99"),
        ("the clients' processor time, cores", "pictures", "cores"),
        ("sentences/s, 64 clients", "sentences", "rate"),
        ("p50 ms", "sentences", "50"),
        ("p99 ms", "sentences", "99"),
        ("the clients' processor time, cores", "sentences", "cores"),
        ("one sentence alone, p50 ms", "one sentence", "50"),
        ("p99 ms", "one sentence", "99"),
    )
    for label, what, kind in rows:
        cells = [statistics.median(figures(what, kind, name)) for name in names]
        print(f"| {label} | {' | '.join(f'{cell:,.3g}' for cell in cells)} |")
    print(f"| resident, all its processes, MB | {' | '.join(f'{resident[name] / 1e6:,.0f}' for name in names)} |")
    print(f"\n| against infinity: median of the rounds, of the fastest in brackets | asked | {' | '.join(names[1:])} |")
    print(f"|{'---|' * (len(names) + 1)}")
    asked = (
        ("images/s", ">= 2.5x", "pictures", "rate"),
        ("sentences/s", ">= 2x", "sentences", "rate"),
        ("one sentence alone", "<= 0.5x", "one sentence", "50"),
        ("p99 of pictures at 64 clients", "<= 0.5x", "pictures", "99"),
        ("p99 of sentences at 64 clients", "<= 0.5x", "sentences", "99"),
    )
    for label, wanted, what, kind in asked:
        texts = []
        theirs = figures(what, kind, names[0])
        for name in names[1:]:
            ours = figures(what, kind, name)
            median = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            best = max if kind == "rate" else min
            texts.append(f"{median:.2f}x ({best(ours) / best(theirs):.2f}x)")
        print(f"| {label} | {wanted} | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
