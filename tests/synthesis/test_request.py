import json
import math

import pytest

from napari_nudiff.errors import RequestError
from napari_nudiff.synthesis.request import LayoutRequest, RenderRequest, load_provenance


def test_requests_survive_json() -> None:
    render = RenderRequest(seed=3, style=(0.1, 0.2, 0.3, 0.1, 0.1, 0.1), guidance=2.0)
    layout = LayoutRequest(height_px=64, density=0.2, mean_area_px=300.0)
    assert RenderRequest.from_dict(json.loads(json.dumps(render.to_dict()))) == render
    assert LayoutRequest.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    assert render.guidance_interval == (0.0, math.inf)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 1001}, "steps"),
        ({"seed": -1}, "seed"),
        ({"sampler": "magic"}, "magic"),
        ({"guidance": math.nan}, "guidance"),
        ({"guidance": -0.1}, "guidance"),
        ({"precision": "fp8"}, "fp8"),
        ({"style": (1.0, 2.0)}, "style"),
        ({"guidance_interval": [2.0, 1.0]}, "guidance_interval"),
        ({"steps": "20"}, "type"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        RenderRequest.from_dict(values)


@pytest.mark.parametrize(
    "values",
    [{"height_px": 63}, {"density": 0.2}, {"density": 1.5, "mean_area_px": 300.0}],
)
def test_bad_layout_requests(values: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        LayoutRequest(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"request"'])
def test_files_that_hold_no_request(tmp_path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"x\.json"):
        load_provenance(path)
