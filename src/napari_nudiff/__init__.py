"""Realistic H&E images from a layout of nuclei, by diffusion."""

__version__ = "0.1.0"
