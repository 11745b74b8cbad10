"""The Preferences page that the manifest declares, as far as this napari has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_nudiff.checkpoints import set_base_url
from napari_nudiff.errors import NudiffError
from napari_nudiff.session.settings import RenderSettings


class Preferences:
    """Passes the preferences on: the address of checkpoints, and the device to start with.

    Parameters
    ----------
    settings : RenderSettings
    on_error : callable
        Given a message.

    Attributes
    ----------
    history_mb : int
        Memory for results.
    autosave : bool
        Whether applied and starred results are kept on disk.
    apply_renders : bool
        Whether a single render becomes layers at once.
    live_max_px : int
        Larger layouts are not rendered live.
    """

    def __init__(self, settings: RenderSettings, on_error: Callable[[str], object]) -> None:
        self._on_error = on_error
        self.history_mb, self.autosave, self.apply_renders = 500, True, True
        self.live_max_px = 512 * 512
        self._page = _page()
        if self._page is None:
            return
        settings.device = self._page.compute.device
        self.live_max_px = self._page.compute.live_max_px
        for name in ("history_mb", "autosave", "apply_renders"):
            setattr(self, name, getattr(self._page.results, name))
        if self._page.checkpoints.base_url:
            self._on_base_url()
        self._page.checkpoints.events.base_url.connect(self._on_base_url)

    def close(self) -> None:
        """Stop following the preferences."""
        if self._page is not None:
            self._page.checkpoints.events.base_url.disconnect(self._on_base_url)
            self._page = None

    def _on_base_url(self, _: object = None) -> None:
        try:
            set_base_url(self._page.checkpoints.base_url)
        except NudiffError as error:
            self._on_error(str(error))


def _page() -> Any:
    """The preferences of this plugin; None where napari is older than 0.9, or does not know it."""
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings("napari-nudiff")
    except (ImportError, KeyError):
        return None
