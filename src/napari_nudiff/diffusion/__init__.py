"""Diffusion: the network, noise levels, samplers and weights. torch only."""
