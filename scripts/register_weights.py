"""Complete the headers of the released weights and write what they say into the registry.

python scripts/register_weights.py

Run it after putting a file of a training run into src/napari_nudiff/weights/ (embedded) or
checkpoints/ (fetched). Running it again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_nudiff"


def main() -> None:
    """Register every checkpoint, or none."""
    registry = PACKAGE / "checkpoints.toml"
    text = registry.read_text(encoding="utf-8")
    changed = {}
    for name, table in tomllib.loads(text)["checkpoints"].items():
        folder = PACKAGE / "weights" if table.get("embedded") else ROOT / "checkpoints"
        path = folder / table["file"]
        if not path.is_file():
            sys.exit(f"{path} does not exist; nothing was changed.")
        changed[path] = with_card(path.read_bytes(), table)
        text = registered(text, name, changed[path])
    for path, content in changed.items():
        path.write_bytes(content)
    registry.write_text(text, encoding="utf-8")


def with_card(content: bytes, table: dict[str, Any]) -> bytes:
    """The same weights with licence, training data and their fingerprint in the header.

    A safetensors file is the length of its index (8 bytes), the index (JSON), the tensors.
    """
    start, index = _tensors_at(content), _index(content)
    header = json.loads(index["__metadata__"]["header"])
    header["card"] |= {
        **{key: table[key] for key in ("licence", "training_data", "um_per_px")},
        "weights_sha256": hashlib.sha256(content[start:]).hexdigest(),
    }
    index["__metadata__"]["header"] = json.dumps(header)
    text = json.dumps(index, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + content[start:]


def _index(content: bytes) -> dict[str, Any]:
    index: dict[str, Any] = json.loads(content[8 : _tensors_at(content)])
    return index


def _tensors_at(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def registered(text: str, name: str, content: bytes) -> str:
    """The registry with what one checkpoint says; comments and order stay."""
    head, body = re.split(rf"(?<=\[checkpoints\.{re.escape(name)}\]\n)", text)
    body, *rest = re.split(r"(?=\n\[checkpoints\.)", body, maxsplit=1)
    values = {
        "size_bytes": len(content),
        "sha256": f'"{hashlib.sha256(content).hexdigest()}"',
    }
    network = json.loads(_index(content)["__metadata__"]["header"])["network"]
    if "conditions" in network:  # files of the first version do not name them
        values["conditions"] = json.dumps(network["conditions"])
    for key, value in values.items():
        body, found = re.subn(rf"^{key} = .*$", f"{key} = {value}", body, flags=re.MULTILINE)
        if not found:
            sys.exit(f"The table of {name} has no {key}; add the line. Nothing was changed.")
    print(f"{name}: {len(content) / 2**20:.2f} MiB, sha256 {values['sha256']}")
    return head + "".join([body, *rest])


if __name__ == "__main__":
    main()
