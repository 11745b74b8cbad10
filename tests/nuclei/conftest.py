from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "nuclei.npz"
CROPS = [f"{name}{i}" for name in ("monuseg", "tnbc") for i in range(6)]


@pytest.fixture(scope="session")
def golden():
    """Crop name -> (labels, the official maps (2, H, W), the official decoder's instances)."""
    with np.load(GOLDEN) as file:
        return {
            name: (
                file[f"{name}_labels"],
                file[f"{name}_hv"].transpose(2, 0, 1),
                file[f"{name}_instances"],
            )
            for name in CROPS
        }
