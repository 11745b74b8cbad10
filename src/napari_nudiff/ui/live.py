"""Live mode: the image follows the brush."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_nudiff.session.live import LiveSchedule
from napari_nudiff.session.presets import OURS
from napari_nudiff.ui.studio import Studio

_POLL_MS = 50
_MAX_EDITS = 100  # each live image remembers those before it; then a fresh one is rendered
_SLOW_S = 4.0


class LiveMode(QObject):
    """Renders what is being painted, with a constant seed and few steps.

    Parameters
    ----------
    studio : Studio

    Attributes
    ----------
    max_px : int
        Larger layouts are not rendered live.
    """

    toggled = Signal(bool)

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.max_px = 512 * 512
        self._studio = studio
        self._schedule = LiveSchedule()
        self._timer = QTimer(self, interval=_POLL_MS)
        self._timer.timeout.connect(self._on_tick)
        self._afresh, self._edits, self._warned = True, 0, False
        studio.live_ended.connect(self._on_ended)
        studio.canvas.layout_edited.connect(self._on_edited)
        studio.layout_chosen.connect(self._on_layout_chosen)
        session = studio.session
        for settings in (session.rendering, session.stain, session.appearance):
            settings.events.connect(self._on_other)

    @property
    def on(self) -> bool:
        """Whether it is on."""
        return bool(self._timer.isActive())

    def toggle(self, on: bool) -> None:
        """Turn it on or off; the last live image is kept among the results."""
        if on == self.on:
            return
        if on and not self._fits():
            self.toggled.emit(False)
            return
        self._schedule, self._afresh, self._warned = LiveSchedule(), True, False
        self._studio.canvas.show_outlines(self._studio.layer if on else None)
        if on:
            self._schedule.changed(time.monotonic())
            self._timer.start()
        else:
            self._timer.stop()
            self._studio.end_live()
        self.toggled.emit(on)

    def close(self) -> None:
        """Stop."""
        with suppress(RuntimeError):  # Qt ended before us, and took the timer along
            self._timer.stop()

    def _fits(self) -> bool:
        layer = self._studio.layer
        if layer is None:
            self._studio.hinted.emit("There is no layout to render yet. Press New or Sample first.")
            return False
        if layer.data.size > self.max_px:
            height, width = layer.data.shape
            self._studio.hinted.emit(
                f"This layout of {height} × {width} px is larger than live mode renders: "
                f"{self.max_px:,} pixels, see Preferences. Render what changed instead."
            )
            return False
        return True

    def _on_edited(self, layer: Any) -> None:
        if self.on and layer is self._studio.layer:
            self._schedule.changed(time.monotonic())

    def _on_layout_chosen(self, layer: Any) -> None:
        if self.on and self._fits():
            self._studio.canvas.show_outlines(layer)
            self._on_other()
        else:
            self.toggle(False)

    def _on_other(self, *_: object) -> None:
        if self.on:
            self._afresh = True
            self._schedule.changed(time.monotonic())

    def _on_tick(self) -> None:
        now_s = time.monotonic()
        if not self._schedule.due(now_s):
            return
        afresh = self._afresh or self._edits >= _MAX_EDITS
        self._schedule.started(now_s)
        self._afresh, self._edits = False, 0 if afresh else self._edits + 1
        if not self._studio.render_live(afresh=afresh, **OURS["Draft"]):
            self._schedule.ended(now_s, succeeded=False)

    def _on_ended(self, succeeded: bool) -> None:
        self._schedule.ended(time.monotonic(), succeeded=succeeded)
        if not succeeded:
            self._afresh = True
        if self._schedule.mean_s > _SLOW_S and not self._warned:
            self._warned = True
            self._studio.hinted.emit(
                f"A live image takes {self._schedule.mean_s:.0f} s here. Paint on: it follows when "
                "you pause. A smaller layout is quicker."
            )
