"""Layouts of nuclei: label arrays, structure maps, generators, metrics. No torch, no Qt."""
