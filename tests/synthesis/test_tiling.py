import pytest
import torch

from napari_nudiff.diffusion.denoiser import UNCONDITIONAL, Conditioning, Prediction
from napari_nudiff.synthesis.tiling import Blend, TiledDenoiser, Window, windows_over


@pytest.mark.parametrize(
    "size", [(64, 64), (512, 512), (528, 64), (1000 + 8, 1500 + 4), (4096, 528)]
)
def test_windows_cover_the_canvas_evenly(size: tuple[int, int]) -> None:
    height, width = (side // 16 * 16 for side in size)
    windows = windows_over(height, width, 16)
    covered = torch.zeros(height, width)
    for window in windows:
        assert window.top % 16 == window.left % 16 == 0
        assert window.of(covered).shape == (window.height, window.width)
        window.of(covered).add_(1)
    assert covered.min() >= 1
    assert len({(w.height, w.width) for w in windows}) == 1
    if max(height, width) <= 512:
        assert windows == [Window(0, 0, height, width)]


class Blur:
    """A denoiser that sees only its window: it halves x and adds the mean of its condition."""

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor, cond: Conditioning) -> Prediction:
        assert cond.globals_ is not None
        return Prediction(x / 2 + cond.globals_.mean())


def test_windows_that_agree_are_blended_exactly() -> None:
    x = torch.randn(1, 3, 768, 528)
    windows = windows_over(768, 528, 16)
    tiled = TiledDenoiser(Blur(), windows, lambda _: Conditioning(globals_=torch.ones(1, 1)))
    out = tiled.denoise(x, torch.tensor(1.0), UNCONDITIONAL).x0
    torch.testing.assert_close(out, x / 2 + 1)


def test_windows_that_disagree_are_blended_smoothly() -> None:
    windows = windows_over(64, 768, 16)
    tiled = TiledDenoiser(
        Blur(), windows, lambda w: Conditioning(globals_=torch.tensor([[float(w.left > 0)]]))
    )
    out = tiled.denoise(torch.zeros(1, 1, 64, 768), torch.tensor(1.0), UNCONDITIONAL).x0[0, 0]
    steps = out.diff(dim=1).abs()
    assert out.min() == 0
    assert out.max() == 1
    assert float(steps.max()) < 0.05


def test_conditions_are_computed_once_per_window_where_there_are_few() -> None:
    seen: list[Window] = []

    def condition(window: Window) -> Conditioning:
        seen.append(window)
        return Conditioning(globals_=torch.zeros(1, 1))

    windows = windows_over(768, 64, 16)
    tiled = TiledDenoiser(Blur(), windows, condition)
    for _ in range(3):
        tiled.denoise(torch.zeros(1, 1, 768, 64), torch.tensor(1.0), UNCONDITIONAL)
    assert seen == windows


def test_rows_that_are_taken_from_a_blend_are_those_of_the_whole() -> None:
    windows = windows_over(768, 528, 16)
    parts = [Prediction(torch.randn(1, 3, w.height, w.width)) for w in windows]
    whole = Blend(torch.zeros(1, 3, 768, 528), windows)
    band = Blend(torch.zeros(1, 3, windows[0].height, 528), windows)
    taken, tops = [], sorted({w.top for w in windows})
    for top, below in zip(tops, [*tops[1:], 768], strict=True):
        for window, part in zip(windows, parts, strict=True):
            if window.top == top:
                whole.add(window, part)
                band.add(Window(0, window.left, window.height, window.width), part)
        taken.append(band.take(below - top).x0)
    assert torch.equal(torch.cat(taken, dim=2), whole.mean().x0)
