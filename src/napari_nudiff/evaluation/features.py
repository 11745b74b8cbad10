"""What images are compared by: vectors of features, from a network that can be exchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_nudiff.errors import RequestError
from napari_nudiff.evaluation.segmenter import Segmenter, to_input

Features = NDArray[np.float64]

_AT_A_TIME = 16
EXTRACTORS = ("judge", "random", "inception")


class FeatureExtractor(Protocol):
    """From images (N, H, W, 3) uint8 to features (N, D)."""

    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Describe each image by D numbers."""
        ...


class JudgeFeatures:
    """Mean and deviation of every channel of the judge's encoder, at all its levels.

    Works offline: the judge was trained on the spot. What it was trained to see, nuclei, weighs
    more than what lies between them.

    Parameters
    ----------
    judge : Segmenter
    """

    def __init__(self, judge: Segmenter) -> None:
        self._judge = judge

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Describe each image."""
        device = next(self._judge.parameters()).device
        parts = []
        for first in range(0, len(images), _AT_A_TIME):
            x = to_input(images[first : first + _AT_A_TIME]).to(device)
            levels = self._judge.levels(x)
            pooled = [f(level, dim=(2, 3)) for level in levels for f in (torch.mean, torch.std)]
            parts.append(torch.cat(pooled, dim=1).double().cpu().numpy())
        return np.concatenate(parts)


class InceptionFeatures:
    """The 2048 features of the usual FID, for who has torch-fidelity and its weights.

    Parameters
    ----------
    weights : Path
        ``weights-inception-2015-12-05-6726825d.pth`` of torch-fidelity.
    """

    def __init__(self, weights: Path) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise RequestError(
                "--features inception needs the package torch-fidelity. Install it with "
                "`pip install torch-fidelity`, or use --features judge."
            ) from error
        if not Path(weights).is_file():
            raise RequestError(f"The weights {weights} of --feature-weights do not exist.")
        self._network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
        )

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Describe each image."""
        x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        starts = range(0, len(x), _AT_A_TIME)
        parts = [self._network(x[first : first + _AT_A_TIME])[0] for first in starts]
        features: Features = torch.cat(parts).double().numpy()
        return features


def turned_features(extract: FeatureExtractor, images: NDArray[np.uint8]) -> Features:
    """Features of images (N, H, W, 3) in their eight orientations, (N, 8, D)."""
    turns = [np.rot90(images, k, axes=(1, 2)) for k in range(4)]
    turns += [turned[:, :, ::-1] for turned in turns]
    return np.stack([extract(np.ascontiguousarray(turned)) for turned in turns], axis=1)


def make_extractor(kind: str, judge: Segmenter, weights: Path | None = None) -> FeatureExtractor:
    """The extractor of a name.

    Parameters
    ----------
    kind : str
        "judge"; "random", the same network with random weights, which knows nothing of nuclei;
        or "inception".
    judge : Segmenter
    weights : Path, optional
        Of "inception".

    Raises
    ------
    RequestError
        There is no such extractor, or something that it needs is missing.
    """
    if kind == "judge":
        return JudgeFeatures(judge)
    if kind == "random":
        with torch.random.fork_rng(devices=[]):  # the caller's random state is left alone
            torch.manual_seed(0)
            untrained = Segmenter()
        device = next(judge.parameters()).device
        return JudgeFeatures(untrained.to(device).eval().requires_grad_(False))
    if kind == "inception":
        if weights is None:
            raise RequestError("--features inception needs --feature-weights FILE.")
        return InceptionFeatures(weights)
    raise RequestError(f"There are no features {kind!r}; known are {', '.join(EXTRACTORS)}.")
