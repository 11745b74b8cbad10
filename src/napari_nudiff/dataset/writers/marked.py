"""Images that say in themselves where they came from, and whether a model made them.

PNG has a text chunk ``nudiff`` with the provenance as JSON. The description of a TIFF is the word
``nudiff`` and the same JSON: tifffile takes descriptions that begin with a brace for its own, and
fails where there is a "shape" in them. Synthetic images also carry an XMP packet with IPTC's
digital source type, which picture agencies and search engines read.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from napari_nudiff.dataset.writers.member import Member
from napari_nudiff.files import parse_json

KEY = "nudiff"
"""Name of the text chunk of a PNG."""

_XMP_KEY, _XMP_TAG = "XML:com.adobe.xmp", 700
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    Iptc4xmpExt:DigitalSourceType="{source_type}"
    xmp:CreatorTool="napari-nudiff"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""
_UM_PER_M, _UM_PER_CM = 1e6, 1e4
_COMPRESSION = 4  # PNG: a few percent larger than at 6, and twice as fast


def write_marked_png(path: Path, member: Member) -> None:
    """Write the image of a member as PNG."""
    path.write_bytes(marked_png(member))


def marked_png(member: Member) -> bytes:
    """The image of a member, encoded as PNG."""
    text = PngImagePlugin.PngInfo()
    text.add_itxt(KEY, provenance_json(member), zip=True)
    if member.synthetic:
        text.add_itxt(_XMP_KEY, xmp_of(member.provenance))
    buffer = io.BytesIO()
    dpi = {} if member.um_per_px is None else {"dpi": (_UM_PER_M / member.um_per_px * 0.0254,) * 2}
    Image.fromarray(member.image).save(
        buffer, "PNG", pnginfo=text, compress_level=_COMPRESSION, **dpi
    )
    return buffer.getvalue()


def labels_png(labels: NDArray[np.uint16]) -> bytes:
    """Labels as a 16-bit grey PNG."""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def write_marked_tiff(path: Path, member: Member) -> None:
    """Write the image of a member as TIFF."""
    tifffile.imwrite(
        path,
        member.image,
        photometric="rgb",
        compression="zlib",
        description=f"{KEY} {provenance_json(member)}",
        metadata=None,
        software="napari-nudiff",
        extratags=xmp_tags(member),
        **resolution(member.um_per_px),
    )


def write_labels_tiff(path: Path, member: Member) -> None:
    """Write the labels of a member as 16-bit TIFF."""
    tifffile.imwrite(
        path, member.labels, compression="zlib", metadata=None, **resolution(member.um_per_px)
    )


def provenance_json(member: Member) -> str:
    """The provenance in ASCII, as TIFF needs it."""
    return json.dumps(member.provenance)


def xmp_of(provenance: dict[str, Any]) -> str:
    """The XMP packet of a synthetic image."""
    source_type = str(provenance.get("digital_source_type", "trainedAlgorithmicMedia"))
    return _XMP.format(source_type=_SOURCE_TYPES + source_type)


def xmp_tags(member: Member) -> list[tuple[int, str, int, bytes, bool]]:
    """The XMP packet as a TIFF tag; none for a real image."""
    if not member.synthetic:
        return []
    packet = xmp_of(member.provenance).encode()
    return [(_XMP_TAG, "B", len(packet), packet, True)]


def resolution(um_per_px: float | None) -> dict[str, Any]:
    """How `tifffile` takes the side of a pixel."""
    if um_per_px is None:
        return {}
    return {"resolution": (_UM_PER_CM / um_per_px,) * 2, "resolutionunit": "CENTIMETER"}


def read_mark(path: Path) -> dict[str, Any]:
    """The provenance that an image file holds; empty where it holds none."""
    if path.suffix.lower() in {".tif", ".tiff"}:
        with tifffile.TiffFile(path) as tiff:
            text = str(tiff.pages.first.description).removeprefix(f"{KEY} ")
    else:
        with Image.open(path) as image:
            text = str(getattr(image, "text", {}).get(KEY, ""))
    try:
        content = parse_json(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
