"""An empty cache, a tiny network and a real HTTP server on this machine that has it."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from napari_nudiff.checkpoints import find_checkpoint
from napari_nudiff.checkpoints.models import _loaded
from napari_nudiff.diffusion.unet import UNet
from napari_nudiff.diffusion.weights import Header, write_weights

from ..networks import IMAGE

GOLDEN_PT = Path(__file__).parents[1] / "data" / "golden" / "structure_unet.pt"
NAME = "lab-image"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, no settings of this machine, no waiting between attempts."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NUDIFF_CACHE", str(folder))
    monkeypatch.delenv("NUDIFF_BASE_URL", raising=False)
    monkeypatch.delenv("NUDIFF_REGISTRY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    _loaded.cache_clear()
    return folder


def write_network(path: Path, *, nan: bool = False, **card: object) -> Path:
    torch.manual_seed(0)
    unet = UNet(IMAGE)
    if nan:
        with torch.no_grad():
            next(unet.parameters()).fill_(float("nan"))
    write_weights(path, unet, Header("image", IMAGE, card=card), torch.float16)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return write_network(path, licence="CC0", training_data="none", um_per_px=0.5)


class Server(ThreadingHTTPServer):
    """Answers any path with `content`, in the manner of `behaviour`."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.behaviour = "good"
        self.failures_left = 0
        self.drops_left = 0
        self.sent = 0
        self.requests: Counter[str] = Counter()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/models"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests[self.path] += 1
        if self.server.behaviour == "missing":
            return self.send_error(404)
        if self.server.failures_left:
            self.server.failures_left -= 1
            return self.send_error(503)
        content = self.server.content
        self.send_response(200)
        if self.server.behaviour not in ("no length", "endless"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.behaviour == "truncated" or self.server.drops_left:
            self.server.drops_left -= 1
            content = content[: len(content) // 2]
        if self.server.behaviour == "slow":
            self.wfile.write(content[: len(content) // 4])
            self.server.stopping.wait(20)
        elif self.server.behaviour == "trickle":
            self._trickle(content)
        elif self.server.behaviour == "endless":
            with suppress(OSError):
                while not self.server.stopping.is_set():
                    self.wfile.write(content)
                    self.server.sent += len(content)
        elif self.server.behaviour == "drops":
            with suppress(OSError):
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    if self.server.stopping.wait(0.05):
                        break
        else:
            self.wfile.write(content)

    def _trickle(self, content: bytes) -> None:
        """Send it within half a second, as long as somebody listens."""
        piece = len(content) // 25 + 1
        with suppress(OSError):
            for start in range(0, len(content), piece):
                self.wfile.write(content[start : start + piece])
                self.server.stopping.wait(0.02)

    def log_message(self, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server(weights):
    server = Server(weights.read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()


def register(monkeypatch, folder: Path, content: bytes, url: str = "", base: str = "") -> None:
    path = folder / "lab.toml"
    path.write_text(f"""
        base_url = "{base}"
        [checkpoints.{NAME}]
        role = "image"
        file = "{NAME}-v2.safetensors"
        size_bytes = {len(content)}
        sha256 = "{hashlib.sha256(content).hexdigest()}"
        licence = "CC BY-NC-SA 4.0"
        training_data = "the lab's"
        um_per_px = 0.25
        url = "{url}"
    """)
    monkeypatch.setenv("NUDIFF_REGISTRY", str(path))


@pytest.fixture
def remote(server, weights, tmp_path, monkeypatch):
    """A checkpoint of the lab's registry that the server has."""
    register(monkeypatch, tmp_path, weights.read_bytes())
    monkeypatch.setenv("NUDIFF_BASE_URL", server.url)
    return find_checkpoint(NAME)


def files_in(folder: Path) -> list[str]:
    """What is in a folder; locks are empty files that some systems keep."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")
    return sorted(str(p.relative_to(folder)) for p in files)
