"""Live mode: when to render what is being painted, so that painting stays fluid."""

from __future__ import annotations

QUIET_S = 0.15
"""A stroke is over when the layout stays as it is this long."""
SLOW_S = 1.5
"""Renders that take longer than this wait for a longer pause."""
SLOW_QUIET_S = 0.4
LONGEST_WAIT_S = 3.0
"""Painting without a pause still updates the preview this often."""
_MEMORY = 0.6  # share of the past in the mean duration


class LiveSchedule:
    """Decides when a changed layout is rendered: one render at a time, after a pause.

    All times are of one clock, in seconds.
    """

    def __init__(self) -> None:
        self.mean_s = 0.0
        self._first_change_s: float | None = None
        self._last_change_s = 0.0
        self._start_s: float | None = None

    @property
    def pending(self) -> bool:
        """Whether something changed since the last render was started."""
        return self._first_change_s is not None

    def changed(self, now_s: float) -> None:
        """Something was painted."""
        if self._first_change_s is None:
            self._first_change_s = now_s
        self._last_change_s = now_s

    def due(self, now_s: float) -> bool:
        """Whether to start a render now."""
        if self._first_change_s is None or self._start_s is not None:
            return False
        quiet_s = SLOW_QUIET_S if self.mean_s > SLOW_S else QUIET_S
        rested = now_s - self._last_change_s >= quiet_s
        return rested or now_s - self._first_change_s >= LONGEST_WAIT_S

    def started(self, now_s: float) -> None:
        """A render of the layout as it is now was started."""
        self._first_change_s, self._start_s = None, now_s

    def ended(self, now_s: float, *, succeeded: bool = True) -> None:
        """It ended; how long it took counts for the next, if it ran to its end."""
        if self._start_s is not None and succeeded:
            took_s = now_s - self._start_s
            self.mean_s = _MEMORY * self.mean_s + (1 - _MEMORY) * took_s if self.mean_s else took_s
        self._start_s = None
