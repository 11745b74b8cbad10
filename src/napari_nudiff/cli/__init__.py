"""The command line: parse, build one request, call one function, show progress.

One module a group of commands. torch takes seconds to import: each command imports what it needs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from napari_nudiff import __version__
from napari_nudiff.cli import data, evaluate, export, generate, models, synthesis, train
from napari_nudiff.errors import NudiffError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``nudiff`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0; 2 for bad input, told in one line; 130 if interrupted.
    """
    args = _parser().parse_args(argv)
    args.argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args.run(args)
    except NudiffError as error:
        print(f"nudiff: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nudiff: interrupted; finished files were kept.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nudiff", description="Realistic H&E images from layouts of nuclei, and back."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (synthesis, generate, data, export, train, evaluate, models):
        group.add_commands(commands)
    return parser
