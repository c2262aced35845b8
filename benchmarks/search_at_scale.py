"""How fast is search over many photographs, how good, and how much memory does it take?

The collection is the one of made_up_collection.py, which tells its distribution. Half of the queries are text-like, off
the pictures' cone, half are like pictures. Warm: the files are in the page cache and ten queries were asked before.
Recall is of the ten nearest against comparing everything in float32. Timings of what a process does when it starts are
of processes of their own.
Run: python benchmarks/search_at_scale.py [--rows 1000000] [--folder /var/tmp/cw-index-1m] [--queries 200]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from clipwright.index.derived import derived_folder, refresh
from clipwright.index.filters import Filters, parse_moment
from clipwright.index.vector_table import VectorTable
from machine import describe
from made_up_collection import SPACE_ID, Distribution, make_collection

FILTERS = (
    ("date: a month", Filters(after=parse_moment("2019-05"), before=parse_moment("2019-06"))),
    ("date: a year", Filters(after=parse_moment("2019"), before=parse_moment("2020"))),
    ("date: after 2010", Filters(after=parse_moment("2010"))),
    ("camera, rare", Filters(camera="model 31")),
    ("camera, common", Filters(camera="model 1")),
    ("place: 25 km", Filters(near=(-23.0, -89.0, 25.0))),
    ("place: 2,000 km", Filters(near=(-23.0, -89.0, 2000.0))),
    ("camera, date and place", Filters(after=parse_moment("2015"), camera="model", near=(-23.0, -89.0, 200.0))),
)
PATHS = tuple(
    (f"path {glob}", Filters(path=glob))
    for glob in ("/photos/2019/**", "*beach*/*", "*.jpg", "IMG_2019*", "*0199*", "IMG_20?9*7.jpg", "**/2019/**/*77.*")
)
COLD = """
import time
start = time.perf_counter()
import numpy as np
numpy_there = time.perf_counter()
from pathlib import Path
from clipwright.index.vector_table import VectorTable
imported = time.perf_counter()
table = VectorTable.open(Path({database!r}), {space_id!r})
opened = time.perf_counter()
query = np.load({query!r})
indices, similarities = table.nearest(query, 1000)
found = time.perf_counter()
table.background(indices), table.rows(table.sample_indices())
done = time.perf_counter()
print(*(1000 * (b - a) for a, b in ((numpy_there, imported), (imported, opened), (opened, found), (found, done))))
"""
RESIDENT = """
import numpy as np
from pathlib import Path
from clipwright.index.vector_table import VectorTable
def megabytes():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [int(status[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM")]
table = VectorTable.open(Path({database!r}), {space_id!r})
table.rows(table.sample_indices())
for query in np.load({query!r}):
    indices, _ = table.nearest(query, 1000)
    table.background(indices)
print(*megabytes())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/cw-index-1m"))
    parser.add_argument("--space-id", default=SPACE_ID)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    database = make_collection(options.folder, options.rows, options.space_id, "made up")
    print(f"# Search over {options.rows:,} photographs\n\n{describe()}\n\n| what | measured |\n|---|---|")
    # Apart, as an update builds and a search does not.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        apart.submit(measure_building, database, options.space_id).result()
    table = VectorTable.open(database, options.space_id)
    queries = made_up_queries(table, options.queries)
    measure_processes(database, options.space_id, queries)
    measure_search(table, queries)
    measure_filters(table, queries)


def row(what: str, measured: str) -> None:
    print(f"| {what} | {measured} |", flush=True)


def made_up_queries(table: VectorTable, count: int) -> np.ndarray:
    """(count, D): texts, then pictures."""
    distribution = Distribution()  # its clusters are the collection's
    distribution.generator = np.random.default_rng(99)
    chosen = distribution.generator.integers(0, len(table), count - count // 2)
    return np.concatenate([distribution.texts(count // 2), distribution.like(table.rows(np.sort(chosen)))])


def measure_building(database: Path, space_id: str) -> None:
    folder = derived_folder(database, space_id)
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    refresh(database, space_id)
    row("derived files from nothing", f"{time.perf_counter() - start:.1f} s")
    row("derived files on disk", f"{sum(file.stat().st_size for file in folder.iterdir()) / 1e6:,.0f} MB")
    start = time.perf_counter()
    refresh(database, space_id)
    row("refresh with nothing new (all checksums)", f"{time.perf_counter() - start:.2f} s")


def measure_processes(database: Path, space_id: str, queries: np.ndarray) -> None:
    for what, code, asked, repeat in (
        ("numpy to table imported, opened, nearest 1,000, background and sample", COLD, queries[0], 7),
        ("resident after 100 queries, and at its peak", RESIDENT, queries[:: max(1, len(queries) // 100)][:100], 1),
    ):
        path = database.with_name("query.npy")
        np.save(path, asked)
        filled = code.format(database=str(database), space_id=space_id, query=str(path))
        runs = [
            [
                float(x)
                for x in subprocess.run([sys.executable, "-c", filled], check=True, capture_output=True).stdout.split()
            ]
            for _ in range(repeat)
        ]
        path.unlink()
        unit = "ms" if code is COLD else "MB"
        row(what, ", ".join(f"{value:,.1f} {unit}" for value in np.median(runs, axis=0)))


def measure_search(table: VectorTable, queries: np.ndarray) -> None:
    half = len(queries) // 2
    for what, some in (("text", queries[:half]), ("picture", queries[half:])):
        truth = ten_nearest(table, some)
        measured, recall = timed(lambda query: table.nearest(query, 10), some, truth)
        row(f"nearest, {what} queries", f"{measured}, recall@10 {recall:.4f}")
        measured, recall = timed(lambda query: table.nearest(query, 10, exact=True), some[:20], truth)
        row(f"nearest, {what} queries, exact", f"{measured}, recall@10 {recall:.4f}")


def measure_filters(table: VectorTable, queries: np.ndarray) -> None:
    some = queries[:: max(1, len(queries) // 30)]
    for what, filters in (*FILTERS, *PATHS):
        mask = table.matching(filters)
        assert mask is not None
        measured, recall = timed(
            functools.partial(filter_and_search, table, filters), some, ten_nearest(table, some, mask)
        )
        row(f"{what}: {mask.sum():,} kept", f"{measured}, recall@10 {recall:.4f}")


def filter_and_search(table: VectorTable, filters: Filters, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return table.nearest(query, 10, table.matching(filters))


def ten_nearest(table: VectorTable, queries: np.ndarray, mask: np.ndarray | None = None) -> list[set[int]]:
    """By comparing everything with plain NumPy."""
    best: list[np.ndarray] = []
    for start in range(0, len(table), 65_536):
        indices = np.arange(start, min(start + 65_536, len(table)))
        indices = indices if mask is None else indices[mask[indices]]
        best.append(queries @ table.rows(indices).T)
    similarities = np.concatenate(best, axis=1)
    kept = np.arange(len(table)) if mask is None else np.flatnonzero(mask)
    ten = min(10, len(kept))
    return [set(kept[np.argpartition(-of_one, ten - 1)[:ten]].tolist()) if ten else set() for of_one in similarities]


def timed(
    search: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], queries: np.ndarray, truth: list[set[int]]
) -> tuple[str, float]:
    for query in queries[:10]:
        search(query)
    seconds, hits = [], []
    for query, wanted in zip(queries, truth, strict=False):
        start = time.perf_counter()
        indices, _ = search(query)
        seconds.append(time.perf_counter() - start)
        hits.append(len(wanted & set(indices.tolist())) / len(wanted) if wanted else 1.0)
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return f"p50 {p50:.1f} ms, p95 {p95:.1f} ms", float(np.mean(hits))


if __name__ == "__main__":
    main()
