import torch

from napari_nudiff.synthesis.canvas import CanvasNoise, derived_seed


def test_noise_belongs_to_the_place_not_to_the_size_of_the_canvas() -> None:
    small, large = CanvasNoise(7, 80, 100), CanvasNoise(7, 200, 150)
    assert torch.equal(small.initial(), large.initial()[..., :80, :100])
    assert torch.equal(small.at_step(3), large.at_step(3)[..., :80, :100])


def test_noise_is_standard_normal_and_differs_between_places_steps_and_seeds() -> None:
    noise = CanvasNoise(7, 256, 256)
    x = noise.initial()
    assert abs(float(x.mean())) < 0.01
    assert abs(float(x.std()) - 1) < 0.01
    blocks = x.unfold(2, 64, 64).unfold(3, 64, 64).reshape(3, 16, -1)
    correlation = torch.corrcoef(blocks.transpose(0, 1).reshape(16, -1)) - torch.eye(16)
    assert float(correlation.abs().max()) < 0.05
    for other in (noise.at_step(0), noise.at_step(1), CanvasNoise(8, 256, 256).initial()):
        assert abs(float(torch.corrcoef(torch.stack([x.ravel(), other.ravel()]))[0, 1])) < 0.02


def test_derived_seeds_keep_the_first_and_differ() -> None:
    seeds = [derived_seed(5, i) for i in range(100)]
    assert seeds[0] == 5
    assert len(set(seeds)) == 100
    assert set(seeds[1:]).isdisjoint(derived_seed(6, i) for i in range(100))
    assert all(0 <= seed < 2**63 for seed in seeds)
