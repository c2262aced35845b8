"""What the starter says of photographs that scikit-image and scikit-learn carry in their packages, and how they are
searched: `make demo`."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import skimage
import sklearn
from rich.console import Console
from rich.table import Table

import clipwright
from clipwright import LabelScore
from clipwright.inputs.images import open_image
from clipwright.tasks.similarity_picture import draw_similarities

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"

PHOTOGRAPHS = {
    "cat": SKIMAGE / "chelsea.png",
    "cup of coffee": SKIMAGE / "coffee.png",
    "woman": SKIMAGE / "astronaut.png",
    "rocket": SKIMAGE / "rocket.jpg",
    "motorcycle": SKIMAGE / "motorcycle_left.png",
    "flower": SKLEARN / "flower.jpg",
    "pagoda": SKLEARN / "china.jpg",
    "money": SKIMAGE / "coins.png",
    "horse": SKIMAGE / "horse.png",
    "man with a camera": SKIMAGE / "camera.png",
}
"""What each shows, as one would say it; these are also the labels to choose from."""

OUT = Path("demo.png")
SEARCHED = Path("demo")
"""The folder of the part that searches: copies of the photographs, their index, and a contact sheet."""


def main() -> None:
    console = Console()
    embedder = clipwright.load("starter")
    labels, paths = list(PHOTOGRAPHS), list(PHOTOGRAPHS.values())
    answers = clipwright.classify(embedder, paths, labels)

    table = Table("photograph", "shows", "first answer", "second answer", title="What is in these photographs?")
    for shows, path, answer in zip(labels, paths, answers, strict=True):
        first, second = answer.labels[:2]
        table.add_row(path.name, shows, said(first, shows), said(second, shows))
    console.print(table)
    right = sum(answer.labels[0].label == shows for shows, answer in zip(labels, answers, strict=True))
    console.print(
        f"{right} of {len(labels)} right at the first answer; the labels are those in the column 'shows'. The starter"
        " answers: a small model that was trained on 100,000 small pictures. Its guesses are rough."
    )

    captions = [f"a photo of a {label}" for label in labels]
    matrix = clipwright.similarity(embedder, paths, captions)
    draw_similarities([open_image(path) for path in paths], captions, matrix).save(OUT)
    console.print(f"Every photograph against every caption: {OUT}")
    search(console)


def search(console: Console) -> None:
    """Indexes the photographs and searches them, by the commands that anybody would type."""
    photographs, index = SEARCHED / "photographs", SEARCHED / "photos.db"
    photographs.mkdir(parents=True, exist_ok=True)
    for path in PHOTOGRAPHS.values():
        shutil.copy2(path, photographs)
    console.print("\nThe same photographs in an index, searched by words:", style="bold")
    sheet = SEARCHED / "sheet.html"
    for arguments in (
        ["index", photographs, "--index", index, "--quiet"],
        ["search", "a cat", "--index", index, "--top", "3", "--quiet"],
        ["search", "an animal - cat", "--index", index, "--top", "3", "--quiet"],
        ["search", "a rocket OR a motorcycle", "--index", index, "--top", "3", "--quiet", "--sheet", sheet],
    ):
        words = list(map(str, arguments))
        console.print(f"\n$ clipwright {shlex.join(words)}", style="cyan", highlight=False, soft_wrap=True)
        subprocess.run([Path(sys.executable).with_name("clipwright"), *words], check=True)


def said(score: LabelScore, shows: str) -> str:
    return f"{'✓' if score.label == shows else ' '} {score.label} {score.probability:.0%}"


if __name__ == "__main__":
    main()
