from pathlib import Path

import numpy as np
import pytest
import tifffile

from ..real_data import real_data

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "nuclei.npz"
LAYOUTS = [f"{name}{i}" for name in ("scattered", "overlapping") for i in range(6)]


@pytest.fixture(scope="session")
def golden():
    """Layout name -> (labels, the official maps (2, H, W), the official decoder's instances)."""
    with np.load(GOLDEN) as file:
        return {
            name: (
                file[f"{name}_labels"],
                file[f"{name}_hv"].transpose(2, 0, 1),
                file[f"{name}_instances"],
            )
            for name in LAYOUTS
        }


@pytest.fixture(scope="session", params=["tnbc", "monuseg"])
def real_layouts(request):
    """Name -> labels, 256 x 256 px, of six real images."""
    files = sorted((real_data(request.param) / "labels").glob("*.tif"))[::5][:6]
    return {path.stem: tifffile.imread(path)[128:384, 128:384].astype(np.int32) for path in files}
