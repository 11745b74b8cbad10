"""A message that stays until it is read."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout
from qtpy.QtWidgets import QWidget as Widget

from napari_nudiff.ui.widgets.accent import ERROR, ERROR_TINT, HINT, HINT_TINT

_COPY = "Copy report"


class MessageArea(QFrame):
    """Shows one error or hint until it is dismissed; an error's report can be copied."""

    def __init__(self, parent: Widget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("nudiff_message")
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy_button = self._button(_COPY, "Copy what happened, for a bug report.")
        self.action_button = self._button("", "")
        self.dismiss_button = self._button("Dismiss", "Hide this message.")
        self._report = ""
        self._action: Callable[[], object] | None = None
        self._lay_out()
        self.copy_button.clicked.connect(self._on_copy)
        self.action_button.clicked.connect(self._on_action)
        self.dismiss_button.clicked.connect(self.clear)
        self.hide()

    def show_error(self, message: str, report: str = "") -> None:
        """Show an error; it stays."""
        self._show(message, report or message, ERROR, ERROR_TINT)

    def show_hint(self, message: str) -> None:
        """Show what to do next."""
        self._show(message, "", HINT, HINT_TINT)

    def show_offer(self, message: str, action: str, on_click: Callable[[], object]) -> None:
        """Show what can be done, with a button that does it."""
        self._show(message, "", HINT, HINT_TINT)
        self.action_button.setText(action)
        self.action_button.show()
        self._action = on_click

    def clear(self) -> None:
        """Hide the message."""
        self._report, self._action = "", None
        self.label.clear()
        self.hide()

    def text(self) -> str:
        """What is shown; "" if nothing is."""
        return str(self.label.text())

    def _show(self, message: str, report: str, colour: str, tint: str) -> None:
        self.label.setText(message)
        self._report = report
        self.copy_button.setText(_COPY)
        self.copy_button.setVisible(bool(report))
        self.action_button.hide()
        self.setStyleSheet(
            f"#nudiff_message {{ background-color: {tint}; border-left: 3px solid {colour}; "
            "border-radius: 2px; } QLabel { background: transparent; }"
        )
        self.show()

    def _on_copy(self) -> None:
        QApplication.clipboard().setText(self._report)
        self.copy_button.setText("Copied")

    def _on_action(self) -> None:
        on_click = self._action
        self.clear()
        if on_click is not None:
            on_click()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.action_button)
        buttons.addWidget(self.dismiss_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addLayout(buttons)

    def _button(self, text: str, tooltip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tooltip)
        button.setStyleSheet("font-size: 8pt; padding: 2px 8px;")
        return button
