"""Points become nuclei with their classes; every disagreement is told."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from napari_nudiff.dataset.candidates import find_real
from napari_nudiff.dataset.checks import Rules, check_image
from napari_nudiff.dataset.images import write_layout, write_rgb
from napari_nudiff.dataset.pairs import load_pairs
from napari_nudiff.dataset.preparation import prepare
from napari_nudiff.dataset.readers import find_images
from napari_nudiff.dataset.survey import PrepareConfig, survey
from napari_nudiff.errors import DatasetError, RequestError

POINTS = [(20, 30, "tumour"), (60, 30, "stroma"), (60, 100, ""), (100, 120, "tumour")]
RULES = Rules(um_per_px=0.5)


def picture(centres, shape=(140, 160), radius=7):
    """Dark discs on light."""
    rows, cols = np.indices(shape)
    near = np.min([np.hypot(rows - r, cols - c) for r, c, *_ in centres], axis=0) <= radius
    return np.where(near[..., None], np.uint8(60), np.uint8([230, 200, 220]))


def see(image, um_per_px):
    """What is dark is nucleus."""
    assert um_per_px > 0
    return (image[..., 0] < 150).astype(np.float32)


def write(folder, stem, points=POINTS, shown=None, header="y_px,x_px,class", separator=","):
    write_rgb(folder / "images" / f"{stem}.png", picture(shown or points))
    path = folder / "points" / f"{stem}.csv"
    path.parent.mkdir(exist_ok=True)
    rows = [header.replace(",", separator)]
    rows += [separator.join(map(str, point[: header.count(",") + 1])) for point in points]
    path.write_text("\n".join(rows) + "\n")
    return path


def problems_of(found, rules=RULES):
    ready, problems = check_image(found, rules, see)
    return ready, {p.what: p.detail for p in problems}


def test_each_point_becomes_a_nucleus_of_its_class(tmp_path) -> None:
    write(tmp_path / "lab", "a")
    (found,), problems = find_images(tmp_path / "lab")
    assert not problems
    ready, told = problems_of(found)
    assert set(told) == {"um per px unusual"}
    assert ready.labels.max() == len(POINTS)
    for row, column, name in POINTS:
        number = ready.labels[row, column]
        assert number > 0
        assert ready.classes.get(number, "") == name
        assert (ready.labels == number).sum() == pytest.approx(np.pi * 7**2, rel=0.15)


@pytest.mark.parametrize(
    ("header", "separator"),
    [("y,x,label", ";"), ("ROW,COL,Type", "\t"), ("\ufeffrow,column", ","), ("y_px,x_px", ",")],
)
def test_columns_have_many_names(tmp_path, header, separator) -> None:
    write(tmp_path / "lab", "a", header=header, separator=separator)
    (found,), _ = find_images(tmp_path / "lab")
    loaded = found.load()
    assert np.array_equal(loaded.points, [point[:2] for point in POINTS])
    wanted = [point[2] for point in POINTS] if header.count(",") == 2 else [""] * 4
    assert list(loaded.point_classes) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("20,30,tumour\n60,30,stroma\n", r"begins with the columns 20, 30, tumour.*names y_px"),
        ("y_px,class\n20,tumour\n", r"names x_px"),
        ("", r"columns of none"),
        ("y_px,x_px\n20,30\n60\n", r"Row 3 of a\.csv"),
        ("y_px,x_px\n20,3O\n", r"Row 2 of a\.csv.*3O"),
        ("y_px,x_px\n20,nan\n", "no finite numbers"),
    ],
)
def test_tables_that_are_damaged_are_told(tmp_path, text, complaint) -> None:
    write(tmp_path / "lab", "a").write_text(text)
    (found,), _ = find_images(tmp_path / "lab")
    with pytest.raises(DatasetError, match=complaint):
        found.load()


def test_other_tables_beside_images_are_no_points(tmp_path) -> None:
    write_rgb(tmp_path / "images" / "a.png", picture(POINTS))
    (tmp_path / "classes").mkdir()
    (tmp_path / "classes" / "a.csv").write_text("id,class\n1,tumour\n")
    (tmp_path / "results.csv").write_text("Area,X,Y\n1,2,3\n")
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="No labelled images"):
        find_images(tmp_path)


def geojson(path, features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def feature(kind, coordinates, classification=None, object_type="annotation"):
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": object_type, "classification": classification},
    }


def test_points_of_qupath_with_a_region_around_them(tmp_path) -> None:
    write_rgb(tmp_path / "a.png", picture(POINTS))
    region = [[[0, 0], [160, 0], [160, 140], [0, 140], [0, 0]]]
    geojson(
        tmp_path / "a.geojson",
        [
            feature("Polygon", region, {"name": "Region"}),
            feature("MultiPoint", [[30.5, 20.5], [120.5, 100.5]], {"name": "Tumor"}),
            feature("Point", [30.5, 60.5], {"names": ["Stroma", "Negative"]}),
            feature("Point", [100.5, 60.5]),
        ],
    )
    (found,), _ = find_images(tmp_path)
    ready, told = problems_of(found)
    assert "1 areas beside 4 points left out" in told["reading"]
    assert ready.labels.max() == 4
    names = [ready.classes.get(ready.labels[r, c], "") for r, c, _ in POINTS]
    assert names == ["Tumor", "Stroma: Negative", "", "Tumor"]


def test_points_of_qupath_beside_outlines_are_left_out_as_before(tmp_path) -> None:
    write_rgb(tmp_path / "a.png", picture(POINTS))
    square = [[[20, 20], [40, 20], [40, 40], [20, 40], [20, 20]]]
    geojson(tmp_path / "a.geojson", [feature("Polygon", square), feature("Point", [3, 3])])
    (found,), _ = find_images(tmp_path)
    loaded = found.load()
    assert loaded.points is None
    assert (loaded.labels > 0).sum() == 400


def test_what_disagrees_is_listed_with_its_places(tmp_path) -> None:
    wrong = [*POINTS, (20, 120, "stroma"), (20, 30, "tumour"), (500, 3, "tumour")]
    write(tmp_path / "lab", "a", wrong, shown=[*POINTS, (100, 40)])
    (found,), _ = find_images(tmp_path / "lab")
    ready, told = problems_of(found)
    assert told["points without nucleus"].startswith("1 (7 points), where the segmenter sees none")
    assert "drawn as discs: (20, 120)" in told["points without nucleus"]
    assert "(20, 30)" in told["points doubled"]
    assert "(500, 3)" in told["points outside"]
    assert "left out: (100, 40)" in told["nuclei without point"]
    assert ready.labels.max() == 5
    assert ready.classes[ready.labels[20, 120]] == "stroma"
    dropped, told = problems_of(found, replace(RULES, disagreeing="drop", unmarked="keep"))
    assert dropped.labels[20, 120] == 0
    assert dropped.labels[100, 40] > 0
    assert dropped.labels[100, 40] not in dropped.classes
    assert dropped.labels.max() == 5
    assert "left out" in told["points without nucleus"]


@pytest.mark.parametrize("target", [0.25, 1.0])
def test_points_are_outlined_at_the_scale_of_the_set(tmp_path, target) -> None:
    write(tmp_path / "lab", "a")
    (found,), _ = find_images(tmp_path / "lab")
    scale = 0.5 / target
    ready, _ = problems_of(found, replace(RULES, target_um_per_px=target))
    assert ready.image.shape == (140 * scale, 160 * scale, 3)
    assert ready.labels.shape == ready.image.shape[:2]
    for row, column, name in POINTS:
        number = ready.labels[int((row + 0.5) * scale), int((column + 0.5) * scale)]
        assert ready.classes.get(number, "") == name
        area = (ready.labels == number).sum()
        assert area == pytest.approx(np.pi * (7 * scale) ** 2, rel=0.3)


def test_without_a_segmenter_one_error_says_how_to_make_one(tmp_path) -> None:
    for stem in "abc":
        write(tmp_path / "lab", stem)
    config = PrepareConfig((tmp_path / "lab",), rules=RULES)
    (problem,) = [p for p in survey(config).problems if p.level == "error"]
    assert problem.what == "no segmenter"
    assert "nudiff data segmenter --data SET --out FILE" in problem.detail
    assert "2 more images" in problem.detail
    (candidate, *_) = find_real(tmp_path / "lab", RULES)
    with pytest.raises(DatasetError, match="no segmenter"):
        candidate.load()


def test_points_need_um_per_px(tmp_path) -> None:
    write(tmp_path / "lab", "a")
    problems = survey(PrepareConfig((tmp_path / "lab",)), foreground=see).problems
    assert ("error", "um per px missing") in {(p.level, p.what) for p in problems}


def test_a_set_of_points_is_written_with_classes_and_all_problems(tmp_path) -> None:
    write(tmp_path / "lab", "a", [*POINTS, (20, 120, "stroma")], shown=POINTS)
    (tmp_path / "judge").write_bytes(b"weights")
    config = PrepareConfig((tmp_path / "lab",), rules=RULES, segmenter=tmp_path / "judge")
    surveyed = survey(config, foreground=see)
    index = prepare(tmp_path / "set", surveyed, config, foreground=see)
    assert index.class_names == ("stroma", "tumour")
    assert index.about["arguments"]["segmenter"] == "judge"
    assert len(index.about["arguments"]["segmenter_sha256"]) == 64
    ((pair,), _) = load_pairs(tmp_path / "set")
    assert pair.um_per_px == 0.5
    assert pair.classes[pair.labels[100, 120]] == "tumour"
    assert pair.labels[60, 100] not in pair.classes
    with (tmp_path / "set" / "problems.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(r["what"] == "points without nucleus" and "(20, 120)" in r["detail"] for r in rows)


@pytest.mark.parametrize(
    "rules", [Rules(disagreeing="maybe"), Rules(unmarked=""), Rules(point_reach_um=0)]
)
def test_rules_for_points_are_checked(tmp_path, rules) -> None:
    with pytest.raises(RequestError, match="must be"):
        PrepareConfig((tmp_path,), rules=rules)


def test_points_may_lie_beside_their_images(tmp_path) -> None:
    path = write(tmp_path / "lab", "a")
    path.rename(tmp_path / "lab" / "images" / "a.csv")
    (found,), _ = find_images(tmp_path / "lab")
    assert len(found.load().points) == len(POINTS)
    (found,), _ = find_images(tmp_path / "lab" / "images" / "a.csv")
    assert len(found.load().points) == len(POINTS)


def test_labels_beside_points_count_first(tmp_path) -> None:
    write(tmp_path / "lab", "a")
    write_layout(tmp_path / "lab" / "labels" / "a.tif", np.eye(160, dtype=int)[:140] * 3)
    (found,), problems = find_images(tmp_path / "lab")
    assert found.load().points is None
    assert "points" in problems[0].detail
