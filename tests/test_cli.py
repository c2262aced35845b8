"""The command line as a whole: exit statuses, one line for an error, help, and what a terminal does to a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import clipwright
from clipwright.cli import COMMANDS, root
from tests.support import COMMAND, run_cli

PROJECT = Path(__file__).parents[1]
MANY = 3000
"""Photographs that nobody waits for."""


def many_photos(photo: Path, folder: Path) -> Path:
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:04}.jpg").symlink_to(photo)
    return folder


# Help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    answer = run_cli(name, "--help")
    assert answer.status == 0
    assert "Example" in answer.stdout
    assert f"    clipwright {name}" in answer.stdout
    assert not answer.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_command(arguments: list[str]) -> None:
    answer = run_cli(*arguments)
    assert answer.status == 0
    assert all(f"  {name} " in answer.stdout and sentence in answer.stdout for name, sentence in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_leads_to_a_guide_with_an_example_of_every_command(name: str) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    guides = (PROJECT / "docs" / "guides").glob("*.md")
    shown_in = [page.name for page in guides if f"$ clipwright {name}" in page.read_text(encoding="utf-8")]
    assert any(f"(docs/guides/{page})" in readme for page in shown_in)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_in_a_guide(name: str) -> None:
    guides = "\n".join(page.read_text(encoding="utf-8") for page in (PROJECT / "docs" / "guides").glob("*.md"))
    command = root.get_command(click.Context(root), name)
    assert command is not None
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert all(f"`{option.opts[0]}" in guides for option in options)


def test_the_version_is_told() -> None:
    assert run_cli("--version").stdout == f"clipwright, version {clipwright.__version__}\n"


# Wrong requests


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["clasify"], "no command 'clasify'; did you mean 'classify'?"),
        (["xyz"], f"no command 'xyz'; known: {', '.join(COMMANDS)}\n"),
        (["--verbose"], "No such option '--verbose'"),
        (["classify", "a.jpg", "--labls", "a,b"], "Did you mean '--labels'? See 'clipwright classify --help'."),
        (["classify", "--labels", "a,b"], "Missing argument 'PHOTO...'. See 'clipwright classify --help'."),
        (["classify", "a.jpg", "--labels", "a,b", "--top", "0"], "'--top': 0 is not in the range x>=1"),
        (["classify", "a.jpg", "--labels", "a,b", "--threads", "many"], "'--threads': 'many' is not a valid integer"),
        (["train", "no.toml"], "no.toml"),
        (["info", "a", "b"], "extra argument"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(arguments: list[str], complaint: str) -> None:
    answer = run_cli(*arguments)
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: ")
    assert complaint in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "a.jpg", "--labels", "a,b"],
        ["similarity", "a.jpg", "--text", "a"],
        ["embed", "a.jpg"],
        ["bench"],
        ["info"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_model_is_refused_with_the_nearest_name(arguments: list[str]) -> None:
    answer = run_cli(*arguments, *(["startr"] if arguments in (["bench"], ["info"]) else ["--model", "startr"]))
    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr == "error: no model 'startr'; did you mean 'starter'?\n"


def test_a_damaged_model_file_is_refused(tmp_path: Path, tiny_model: Path, photo: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(tiny_model.read_bytes()[:5000])
    answer = run_cli("classify", photo, "--labels", "cat, dog", "--model", tmp_path / "cut.safetensors")
    assert answer.status == 2
    assert "fetch it again" in answer.stderr


# Letters


def test_a_name_beyond_the_terminals_letters_stops_nothing(tiny_model: Path, photo: Path) -> None:
    answer = run_cli("classify", photo, "--labels", "café, 猫", "--model", tiny_model, encoding="ascii")
    assert answer.status == 0
    assert "caf?" in answer.stdout


def test_json_keeps_every_letter_also_where_the_terminal_lacks_it(tiny_model: Path, photo: Path) -> None:
    answer = run_cli("classify", photo, "--labels", "café, 猫", "--json", "--model", tiny_model, encoding="ascii")
    assert {score["label"] for score in json.loads(answer.stdout)["labels"]} == {"café", "猫"}


def test_json_is_plain_utf8_where_it_can_be(tiny_model: Path, photo: Path) -> None:
    answer = run_cli("classify", photo, "--labels", "café, 猫", "--json", "--model", tiny_model)
    assert "猫" in answer.stdout


# Processes


def test_ctrl_c_stops_with_status_130_and_one_line(tiny_model: Path, photo: Path, tmp_path: Path) -> None:
    folder = many_photos(photo, tmp_path / "photos")
    arguments: list[str | Path] = [COMMAND, "classify", folder, "--labels", "cat, dog", "--json", "--model", tiny_model]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        lines += process.stdout.readlines()
        complaint = process.stderr.read()
    assert process.returncode == 130
    assert complaint.strip() == "interrupted: stopped"  # after a line's end, for terminals that show ^C
    assert len(lines) < MANY
    assert all(json.loads(line)["labels"] for line in lines)


def test_a_reader_that_has_seen_enough_is_no_error(tiny_model: Path, photo: Path, tmp_path: Path) -> None:
    folder = many_photos(photo, tmp_path / "photos")
    arguments: list[str | Path] = [COMMAND, "classify", folder, "--labels", "cat, dog", "--json", "--model", tiny_model]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
        assert process.wait(timeout=120) == 0
    assert not complaint


def test_the_installed_command_is_the_one_beside_python() -> None:
    assert shutil.which("clipwright", path=str(Path(sys.executable).parent)) == str(COMMAND)


def test_without_a_network_the_machine_is_to_blame(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run([COMMAND, "info", "acme/clip"], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: 'acme/clip' is not whole in the cache")
    assert done.stderr.count("\n") == 1
