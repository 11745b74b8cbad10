"""What can go wrong, for the user.

None derives from RuntimeError: superqt's workers swallow those.
"""

_COMPLAINTS = (
    "out of memory",
    "not enough memory",
    "allocate memory",
    "bad_alloc",
    "bad alloc",
    "alloc_failed",  # cuBLAS and cuDNN
)
# oneDNN names no cause. It says this of an operation that it has already found possible, so that
# only memory (a scratch buffer, a page for its code) can have been missing.
_ONEDNN_COMPLAINTS = (
    "could not create a primitive",
    "could not create a memory object",
    "could not execute a primitive",
)


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, on whatever device."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):  # as all of torch's are
        return False
    said = str(error).lower().strip()
    return said in _ONEDNN_COMPLAINTS or any(words in said for words in _COMPLAINTS)
