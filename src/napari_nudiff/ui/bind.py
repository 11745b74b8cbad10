"""Two-way binding of a field of an evented dataclass and a widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QComboBox, QWidget


class Binding:
    """A field and a widget that follow each other; keep it as long as they should.

    Parameters
    ----------
    settings : object
        A dataclass with psygnal ``events``.
    field : str
    widget : QWidget
        A check box, a combo box (its item data counts), or anything with ``value``, ``setValue``
        and ``valueChanged``.
    to_widget, to_field : callable
        Turn the field's value into the widget's, and back.
    """

    def __init__(
        self,
        settings: Any,
        field: str,
        widget: QWidget,
        to_widget: Callable[[Any], Any],
        to_field: Callable[[Any], Any],
    ) -> None:
        self._settings, self._field, self._widget = settings, field, widget
        self._to_widget, self._to_field = to_widget, to_field
        self._read, self._write, changed = _access(widget)
        self._on_field_changed(getattr(settings, field))
        self._signal = getattr(settings.events, field)
        self._signal.connect(self._on_field_changed)
        changed.connect(self._on_widget_changed)

    def release(self) -> None:
        """Let the widget no longer follow the field."""
        self._signal.disconnect(self._on_field_changed, missing_ok=True)

    def _on_field_changed(self, value: Any) -> None:
        with QSignalBlocker(self._widget):
            self._write(self._to_widget(value))

    def _on_widget_changed(self, *_: object) -> None:
        setattr(self._settings, self._field, self._to_field(self._read()))


def bind(
    settings: Any,
    field: str,
    widget: QWidget,
    to_widget: Callable[[Any], Any] = lambda value: value,
    to_field: Callable[[Any], Any] = lambda value: value,
) -> Binding:
    """Let a field and a widget follow each other; see `Binding`."""
    return Binding(settings, field, widget, to_widget, to_field)


def _access(widget: Any) -> tuple[Callable[[], Any], Callable[[Any], Any], Any]:
    """How to read and write a widget, and the signal of a change."""
    if isinstance(widget, QCheckBox):
        return widget.isChecked, widget.setChecked, widget.toggled
    if isinstance(widget, QComboBox):
        return (
            widget.currentData,
            lambda data: widget.setCurrentIndex(widget.findData(data)),
            widget.currentIndexChanged,
        )
    return widget.value, widget.setValue, widget.valueChanged
