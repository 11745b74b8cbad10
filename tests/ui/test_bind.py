from dataclasses import dataclass
from typing import ClassVar

import pytest
from psygnal import SignalGroupDescriptor
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QSpinBox

from napari_nudiff.ui.bind import bind


@dataclass
class Settings:
    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    value: object = None


def combo() -> QComboBox:
    box = QComboBox()
    box.addItem("one", "a")
    box.addItem("two", "b")
    return box


@pytest.mark.parametrize(
    ("make", "first", "second", "change"),
    [
        (QSpinBox, 3, 5, lambda w: w.setValue(5)),
        (QDoubleSpinBox, 0.5, 1.5, lambda w: w.setValue(1.5)),
        (QCheckBox, False, True, lambda w: w.click()),
        (combo, "a", "b", lambda w: w.setCurrentIndex(1)),
    ],
)
def test_a_field_and_a_widget_follow_each_other(qtbot, make, first, second, change) -> None:
    widget = make()
    qtbot.addWidget(widget)
    settings = Settings(first)
    binding = bind(settings, "value", widget)
    change(widget)
    assert settings.value == second
    settings.value = first
    assert binding._read() == first
    binding.release()
    settings.value = second
    assert binding._read() == first


def test_values_are_converted(qtbot) -> None:
    widget = QSpinBox()
    qtbot.addWidget(widget)
    settings = Settings(0.25)
    binding = bind(settings, "value", widget, lambda f: round(100 * f), lambda p: p / 100)
    assert widget.value() == 25
    widget.setValue(40)
    assert settings.value == 0.4
    binding.release()
