"""What other programs read: one module a format family, one function a format."""

from __future__ import annotations

from napari_nudiff.dataset.writers.coco import (
    finish_coco,
    read_coco,
    write_coco,
    write_coco_polygons,
)
from napari_nudiff.dataset.writers.hovernet import (
    read_hovernet,
    read_hovernet_patches,
    write_hovernet,
    write_hovernet_patches,
)
from napari_nudiff.dataset.writers.huggingface import (
    finish_imagefolder,
    finish_parquet,
    read_imagefolder,
    read_parquet,
    write_imagefolder,
    write_parquet,
)
from napari_nudiff.dataset.writers.label_images import (
    read_label_images,
    write_cellpose,
    write_stardist,
)
from napari_nudiff.dataset.writers.member import Format
from napari_nudiff.dataset.writers.ome import (
    read_ome_tiff,
    read_ome_zarr,
    write_ome_tiff,
    write_ome_zarr,
)
from napari_nudiff.dataset.writers.pannuke import finish_pannuke, read_pannuke, write_pannuke
from napari_nudiff.dataset.writers.qupath import read_qupath, write_qupath
from napari_nudiff.dataset.writers.webdataset import read_webdataset, write_webdataset
from napari_nudiff.dataset.writers.yolo import finish_yolo, read_yolo, write_yolo

_ALL = (
    Format(
        "cellpose",
        "Cellpose",
        "Cellpose and its GUI, Omnipose",
        "X.tif and X_masks.tif in one folder",
        write_cellpose,
        read_label_images,
    ),
    Format(
        "stardist",
        "StarDist",
        "StarDist's notebooks, ZeroCostDL4Mic",
        "images/X.tif and masks/X.tif",
        write_stardist,
        read_label_images,
    ),
    Format(
        "hovernet",
        "HoVer-Net (.mat)",
        "HoVer-Net, MONAI, Nudiff's own code",
        "Images/X.png and Labels/X.mat (inst_map, type_map)",
        write_hovernet,
        read_hovernet,
    ),
    Format(
        "coco",
        "COCO (run lengths)",
        "detectron2, MMDetection, torchvision",
        "X.png and annotations/instances_SPLIT.json",
        write_coco,
        read_coco,
        finish=finish_coco,
        packages=("pycocotools",),
    ),
    Format(
        "yolo",
        "YOLO-seg",
        "Ultralytics",
        "images/, labels/ and data.yaml; holes and lesser parts are lost",
        write_yolo,
        read_yolo,
        exact=False,
        finish=finish_yolo,
    ),
    Format(
        "qupath",
        "QuPath GeoJSON",
        "QuPath (drag and drop), TIAToolbox",
        "X.tif and X.geojson",
        write_qupath,
        read_qupath,
    ),
    Format(
        "hovernet-patches",
        "HoVer-Net (.npy)",
        "HoVer-Net's training loader",
        "X.npy: red, green, blue, nucleus, class",
        write_hovernet_patches,
        read_hovernet_patches,
    ),
    Format(
        "pannuke",
        "PanNuke-like arrays",
        "CellViT, SynCLay and other PanNuke loaders",
        "images.npy, masks.npy, types.npy of 256 px patches",
        write_pannuke,
        read_pannuke,
        cuts=True,
        finish=finish_pannuke,
    ),
    Format(
        "coco-polygons",
        "COCO (polygons)",
        "CVAT, Label Studio, Roboflow",
        "X.png and annotations/instances_SPLIT.json; holes are lost",
        write_coco_polygons,
        read_coco,
        exact=False,
        finish=finish_coco,
    ),
    Format(
        "ome-tiff",
        "OME-TIFF",
        "QuPath, Fiji, OMERO, napari",
        "X.ome.tif and X_labels.ome.tif",
        write_ome_tiff,
        read_ome_tiff,
    ),
    Format(
        "ome-zarr",
        "OME-Zarr",
        "napari-ome-zarr, Vizarr, ome-zarr-py",
        "X.ome.zarr with labels/nuclei",
        write_ome_zarr,
        read_ome_zarr,
    ),
    Format(
        "imagefolder",
        "Hugging Face folder",
        "datasets.load_dataset('imagefolder')",
        "X.png, X_labels.png (16-bit) and metadata.jsonl",
        write_imagefolder,
        read_imagefolder,
        finish=finish_imagefolder,
    ),
    Format(
        "parquet",
        "Hugging Face Parquet",
        "datasets.load_dataset, the Hub's viewer, polars",
        "data/SPLIT-NUMBER.parquet with the images in it",
        write_parquet,
        read_parquet,
        finish=finish_parquet,
        packages=("pyarrow",),
    ),
    Format(
        "webdataset",
        "WebDataset",
        "webdataset, timm, open_clip",
        "SPLIT-NUMBER.tar of X.png, X.labels.npy, X.json",
        write_webdataset,
        read_webdataset,
    ),
)

PART = ".part-"
"""In the names of what shards leave for the end of a set."""

FORMATS: dict[str, Format] = {each.name: each for each in _ALL}
"""By the name on the command line, the most used first."""
