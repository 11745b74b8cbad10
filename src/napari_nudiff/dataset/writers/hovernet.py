"""HoVer-Net and CoNSeP: the variables of a ``.mat`` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def labels_to_mat(
    labels: NDArray[np.integer], classes: Mapping[int, int] | None = None
) -> dict[str, NDArray[Any]]:
    """Nuclei as ``scipy.io.savemat`` takes them; ids are numbered from 1, as the readers expect.

    Parameters
    ----------
    labels : ndarray, (H, W), integer
    classes : mapping of int to int, optional
        Class of a nucleus by its id, from 1; without it all are of class 1.

    Returns
    -------
    dict
        ``inst_map`` and ``type_map`` (H, W) int32, ``inst_type`` (N, 1) and ``inst_centroid``
        (N, 2) in x, y.
    """
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape)
    if ids[0] == 0:
        ids = ids[1:]
    else:
        dense = dense + 1
    types = np.array([(classes or {}).get(int(i), 1) for i in ids], dtype=np.int32)
    numbers = np.arange(1, len(ids) + 1)
    centres = np.array(ndimage.center_of_mass(dense > 0, dense, numbers)).reshape(-1, 2)
    return {
        "inst_map": dense.astype(np.int32),
        "type_map": np.concatenate([[0], types])[dense].astype(np.int32),
        "inst_type": types[:, None],
        "inst_centroid": centres[:, ::-1].astype(np.float64),
    }
