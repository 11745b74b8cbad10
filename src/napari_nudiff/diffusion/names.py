"""The samplers by name, without their code: what lists or checks names needs no torch."""

SAMPLER_NAMES = {
    "dpmpp_2m": "DPM-Solver++ (fast, the default)",
    "dpmpp_2m_sde": "DPM-Solver++ with noise",
    "heun": "Heun (two evaluations a step)",
    "ddim": "DDIM",
    "ddpm": "DDPM (the paper's; wants 100 steps or more)",
}
"""As requests have them, and what to call them."""
