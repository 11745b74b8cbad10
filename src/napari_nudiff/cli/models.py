"""``nudiff models``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from napari_nudiff import checkpoints
from napari_nudiff.cli.options import add_quiet
from napari_nudiff.text import size_text


def add_commands(commands: Any) -> None:
    """Add ``models`` to the commands of ``nudiff``."""
    p = commands.add_parser("models", help="list, fetch, verify, add and remove checkpoints")
    verbs = p.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("list", help="the checkpoints that there are")
    verb.set_defaults(run=list_models)
    verb = verbs.add_parser("fetch", aliases=["download"], help="download a checkpoint")
    verb.set_defaults(run=fetch_model)
    verb.add_argument("name")
    add_quiet(verb)
    verb = verbs.add_parser("verify", help="compare with the fingerprints")
    verb.set_defaults(run=verify_models)
    verb.add_argument("names", nargs="*")
    verb = verbs.add_parser("add", help="add a file of one's own (also official .pt)")
    verb.set_defaults(run=add_model)
    verb.add_argument("file", type=Path)
    verb.add_argument("--name")
    verb.add_argument("--role", choices=("structure", "image"))
    verb.add_argument("--licence", default="unknown")
    verb.add_argument(
        "--head-channels", type=int, default=64, help="width of an attention head (.pt only)"
    )
    verb = verbs.add_parser(
        "remove", aliases=["delete"], help="delete the copy of an added file, or a fetched one"
    )
    verb.set_defaults(run=remove_model)
    verb.add_argument("name")


def list_models(args: argparse.Namespace) -> None:
    """``nudiff models list``: the checkpoints that there are."""
    rows = [("name", "role", "size", "state", "um/px", "takes", "licence", "trained on")]
    for c in checkpoints.list_checkpoints():
        size, state = size_text(c.size_bytes), checkpoints.state_of(c)
        takes = ", ".join(c.conditions)
        about = (f"{c.um_per_px:g}", takes, c.licence, c.training_data)
        rows.append((c.name, c.role, size, state, *about))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    used = size_text(checkpoints.used_bytes())
    print(f"\ncache: {used} in {checkpoints.cache_folder()}")


def fetch_model(args: argparse.Namespace) -> None:
    """``nudiff models fetch``: download a checkpoint and verify it."""
    checkpoint = checkpoints.find_checkpoint(args.name)
    hidden = args.quiet or not checkpoints.needs_fetching(checkpoint)
    with tqdm(total=0, unit="B", unit_scale=True, desc=args.name, disable=hidden) as bar:
        print(checkpoints.fetch_checkpoint(checkpoint, progress=bar))


def verify_models(args: argparse.Namespace) -> None:
    """``nudiff models verify``: compare checkpoints with their fingerprints."""
    named = [checkpoints.find_checkpoint(name) for name in args.names]
    here = filter(checkpoints.local_path, checkpoints.list_checkpoints())
    for checkpoint in named or here:
        print(f"{checkpoint.name}: intact ({checkpoints.verify_checkpoint(checkpoint)})")


def add_model(args: argparse.Namespace) -> None:
    """``nudiff models add``: make a checkpoint file of one's own available by name."""
    checkpoint = checkpoints.add_checkpoint(
        args.file, args.name, args.role, args.licence, head_channels=args.head_channels
    )
    print(
        f"{checkpoint.name}: {checkpoint.role} model added ({checkpoint.sha256[:12]}), "
        f"licence {checkpoint.licence}"
    )


def remove_model(args: argparse.Namespace) -> None:
    """``nudiff models remove``: delete the copy of a file that was added, or a fetched file."""
    checkpoints.remove_checkpoint(args.name)
    print(f"{args.name}: removed")
