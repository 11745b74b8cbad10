"""Training of the structure and image models. Headless."""
