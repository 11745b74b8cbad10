"""``python -m napari_nudiff.cli``."""

import sys

from napari_nudiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
