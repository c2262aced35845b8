"""Folders by names that say nothing of where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipwright.server.library.root_names import RootNames, choose_folders
from clipwright.server.rejection import RejectionError


def test_a_folder_is_called_by_its_own_name_and_keeps_it() -> None:
    names = RootNames()
    first, second, third = Path("/a/Trip"), Path("/b/Trip"), Path("/c/Trip (2)")
    assert [names.name(folder) for folder in (first, second, third)] == ["Trip", "Trip (2)", "Trip (2) (2)"]
    assert [names.name(folder) for folder in (third, first, second)] == ["Trip (2) (2)", "Trip", "Trip (2)"]


def test_a_folder_through_a_link_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "Trip").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "Trip")
    names = RootNames()
    assert names.name(tmp_path / "Trip") == names.name(tmp_path / "link") == "Trip"
    assert names.names([tmp_path / "link", tmp_path / "Trip"]) == {"Trip": tmp_path / "link"}


def test_a_disk_as_a_whole_and_a_name_that_is_no_text_have_names_too() -> None:
    names = RootNames()
    assert names.name(Path("/")) == "disk"
    assert names.name(Path(os.fsdecode(b"/photos/caf\xe9"))) == "caf\N{REPLACEMENT CHARACTER}"


def test_all_folders_are_chosen_but_those_that_never_were_there(tmp_path: Path) -> None:
    folders = {"here": tmp_path, "unplugged": tmp_path / "unplugged", "never": tmp_path / "never"}
    assert choose_folders(folders, {"unplugged"}, None) == ["here", "unplugged"]
    assert choose_folders(folders, {"unplugged"}, ["unplugged", "here", "unplugged"]) == ["unplugged", "here"]
    with pytest.raises(RejectionError, match="'never' is not there") as refused:
        choose_folders(folders, {"unplugged"}, ["here", "never"])
    assert (refused.value.status, refused.value.code) == (409, "missing")
    with pytest.raises(RejectionError, match="no folder is called 'x'"):
        choose_folders(folders, (), ["x"])
    with pytest.raises(RejectionError, match="--root"):
        choose_folders({}, (), None)
