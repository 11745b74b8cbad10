"""Files appear whole or not at all, with the permissions of any other."""

import stat

import pytest
import torch
from safetensors.torch import save_file

from napari_nudiff.dataset.prepared import read_index
from napari_nudiff.dataset.readers.json_file import read_json
from napari_nudiff.errors import CheckpointError, DatasetError, NudiffError
from napari_nudiff.files import atomic_path, parse_json
from napari_nudiff.synthesis.generation import read_plan
from napari_nudiff.synthesis.request import load_provenance


def test_a_file_appears_when_the_block_ends(tmp_path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as staged:
        staged.write_text("whole")
        assert staged.name == path.name
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_broken_block_leaves_the_old_file(tmp_path, error) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as staged:
        staged.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error_type", [DatasetError, CheckpointError])
def test_a_full_disk_is_told_in_the_callers_words(tmp_path, error_type) -> None:
    path = tmp_path / "a.txt"
    with (
        pytest.raises(error_type, match=r"a\.txt.*No space.*Nothing was changed"),
        atomic_path(path, error_type),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_a_dataset_error(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="Cannot write"), atomic_path(tmp_path / "file" / "a"):
        pytest.fail("there is nothing to write to")


def test_permissions_are_those_of_any_new_file(tmp_path) -> None:
    (tmp_path / "any").touch()
    with atomic_path(tmp_path / "a.safetensors") as staged:
        save_file({"a": torch.zeros(1)}, staged)  # makes it private
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


DEEP = "[" * 100_000


def test_json_that_nobody_wrote_is_an_ordinary_error() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}


READERS = {
    "request.json": load_provenance,
    "plan.json": lambda path: read_plan(path.parent),
    "dataset.json": lambda path: read_index(path.parent),
    "coco.json": read_json,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", [DEEP, "{", "\0", ""])
def test_damaged_json_is_one_clear_error_whatever_it_is(tmp_path, name, text) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(NudiffError, match=r"\w+"):
        READERS[name](tmp_path / name)
