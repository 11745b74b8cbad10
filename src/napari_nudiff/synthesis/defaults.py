"""What is asked for where nothing else is said; torch-free. Reasons: docs/measurements.md."""

SAMPLER = "dpmpp_2m"
LAYOUT_STEPS = 20
RENDER_STEPS = 12
GUIDANCE = 1.0
"""Off: the embedded image model knows the layout from its input on."""
