"""What can go wrong, for the user.

None derives from RuntimeError: superqt's workers swallow those.
"""


class NudiffError(Exception):
    """Anything that napari-nudiff reports to its user in one clear message."""


class LayoutError(NudiffError):
    """A layout of nuclei that cannot be used."""


class RequestError(NudiffError):
    """A request with values that make no sense."""


class CheckpointError(NudiffError):
    """A checkpoint that is missing, damaged or of another kind."""


class DownloadError(CheckpointError):
    """A checkpoint could not be fetched."""


class DatasetError(NudiffError):
    """Images, labels or a training set that cannot be read or written."""


class CancelledError(NudiffError):
    """The user cancelled the work."""
