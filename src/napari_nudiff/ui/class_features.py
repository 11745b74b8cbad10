"""Classes of nuclei in the features of a Labels layer: the column ``class``, beside ``index``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INDEX, _CLASS = "index", "class"


def features_of(classes: Mapping[int, str]) -> dict[str, Any]:
    """The ``features`` of a Labels layer as an argument; nothing where there are no classes."""
    if not classes:
        return {}
    ids = sorted(classes)
    return {"features": {_INDEX: ids, _CLASS: [classes[i] for i in ids]}}


def classes_in(features: Any) -> dict[int, str]:
    """Classes by the ids of nuclei, from the features of a layer.

    Parameters
    ----------
    features : DataFrame, mapping of str to columns, or None
        Without a column ``index``, row i is of nucleus i.
    """
    if features is None or _CLASS not in features:
        return {}
    column = list(features[_CLASS])
    ids = features[_INDEX] if _INDEX in features else range(len(column))
    named = zip(ids, column, strict=True)
    return {int(i): name for i, name in named if isinstance(name, str) and name and i > 0}
