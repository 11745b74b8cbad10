import json
from pathlib import Path

import pytest

from napari_nudiff.errors import RequestError
from napari_nudiff.session.presets import OURS, Presets
from napari_nudiff.session.settings import RenderSettings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUDIFF_CACHE", str(tmp_path))
    return tmp_path


def test_the_defaults_are_the_standard() -> None:
    assert Presets().name_of(RenderSettings()) == "Standard"


@pytest.mark.parametrize("name", OURS)
def test_a_preset_sets_what_it_says(name) -> None:
    presets, settings = Presets(), RenderSettings(seed=5, device="cpu")
    presets.apply(name, settings)
    assert presets.name_of(settings) == name
    assert (settings.seed, settings.device) == (5, "cpu")


def test_own_presets_are_there_the_next_time() -> None:
    presets, told = Presets(), []
    presets.changed.connect(lambda: told.append(presets.names()))
    settings = RenderSettings(steps=12, guidance=1.7)
    presets.save("  Mine ", settings)
    assert told == [["Draft", "Standard", "Paper", "Mine"]]
    again = Presets()
    assert again.is_own("Mine")
    assert again.name_of(settings) == "Mine"
    again.remove("Mine")
    assert Presets().names() == list(OURS)


@pytest.mark.parametrize("name", ["", "  ", "Draft"])
def test_a_name_must_be_the_users(name) -> None:
    with pytest.raises(RequestError, match="Choose another name"):
        Presets().save(name, RenderSettings())


@pytest.mark.parametrize(
    "text", ["no json", "[]", json.dumps({"a": 1, "b": {"steps": "many"}, "c": {"steps": 3}})]
)
def test_a_damaged_file_does_no_harm(cache, text) -> None:
    (cache / "presets.json").write_text(text)
    assert Presets().names() == list(OURS)
