"""What the user is editing and the verbs on it: no Qt, no napari, torch only inside a job."""

from napari_nudiff.session.session import Session

__all__ = ["Session"]
