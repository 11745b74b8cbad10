"""The rules between the layers: who may import whom, and what stays fast to import."""

import subprocess
import sys
import textwrap
from importlib.resources import files
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

# Start of a child process: `block` makes packages unimportable, `modules` lists those of a package.
PRELUDE = """
import importlib, pkgutil, sys

class Block:
    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.packages:
            raise ImportError(f"{name} is blocked: this layer must work without it")

def block(*packages):
    sys.meta_path.insert(0, Block(packages))

def modules(name):
    yield name
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(getattr(package, "__path__", []), name + "."):
        if module.name not in ("napari_nudiff.ui", "napari_nudiff.__main__"):
            yield from modules(module.name)
"""


def run_python(code: str) -> str:
    """Run `code` after the prelude in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return done.stdout


def test_import_contracts_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    cli = pytest.importorskip("importlinter.cli")
    status = cli.lint_imports(str(PYPROJECT), no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


def test_headless_modules_import_without_qt_and_napari() -> None:
    imported = run_python("""
        block("app_model", "magicgui", "napari", "npe2", "PyQt5", "PyQt6", "PySide2", "PySide6",
              "qtpy", "superqt", "vispy")
        for name in modules("napari_nudiff"):
            importlib.import_module(name)
            print(name)
    """).split()
    assert {"napari_nudiff.cli", "napari_nudiff.session"} <= set(imported)
    assert not any(name.startswith("napari_nudiff.ui") for name in imported)


@pytest.mark.parametrize("room", ["errors", "nuclei", "sample_data", "dataset"])
def test_room_imports_without_torch(room: str) -> None:
    run_python(f"""
        from importlib.util import find_spec
        block("torch", "safetensors")
        if find_spec("napari_nudiff.{room}"):
            for name in modules("napari_nudiff.{room}"):
                importlib.import_module(name)
    """)


@pytest.mark.parametrize(
    "module",
    ["session", "synthesis.request", "synthesis.memory", "diffusion.names", "work", "cli"],
)
def test_what_asks_for_work_imports_without_torch(module: str) -> None:
    run_python(f"""
        block("torch", "safetensors")
        importlib.import_module("napari_nudiff.{module}")
    """)


def test_importing_the_package_is_instant() -> None:
    added = run_python("""
        before = set(sys.modules)
        import napari_nudiff
        print(*sorted(set(sys.modules) - before))
    """).split()
    assert added == ["napari_nudiff"]


def test_manifest_is_valid_and_resolves_without_torch() -> None:
    pytest.importorskip("npe2")
    pytest.importorskip("napari")
    manifest = files("napari_nudiff").joinpath("napari.yaml")
    run_python(f"""
        from npe2 import PluginManifest

        manifest = PluginManifest.from_file({str(manifest)!r})
        assert manifest.name == "napari-nudiff"
        assert "torch" not in sys.modules, "reading the manifest imported torch"
        assert manifest.contributions.commands
        for command in manifest.contributions.commands:
            assert callable(pkgutil.resolve_name(command.python_name)), command.python_name
            assert "torch" not in sys.modules, f"{{command.python_name}} imported torch"
        manifest.validate_imports()
    """)
