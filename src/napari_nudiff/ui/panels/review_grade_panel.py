"""The grades of the image before the reviewer."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_nudiff.dataset.review import GRADES, REASONS
from napari_nudiff.session.review import Sitting
from napari_nudiff.ui.review_keys import REASON_KEYS
from napari_nudiff.ui.widgets.caption import Caption
from napari_nudiff.ui.widgets.choice_row import ChoiceRow
from napari_nudiff.ui.widgets.fields import Fields
from napari_nudiff.ui.widgets.step_bar import StepBar

_REALISM = (
    "Does not look like tissue.",
    "Several things are wrong.",
    "Wrong at a second look.",
    "Can hardly be told apart from tissue.",
    "Like real tissue.",
)
_LABELS = (
    "The labels belong to another image.",
    "Many nuclei are missed or wrong.",
    "Some nuclei are missed or wrong.",
    "Outlines are a little off.",
    "Every nucleus is outlined as you would.",
)
_CONFIDENCE = ("A guess.", "Unsure.", "Fairly sure.", "Sure.", "Certain.")
_ANSWERS = ("real", "synthetic")
_NO_FLAG = "No nucleus is flagged. Point at one and press F."
_MOST_FLAGS = 12  # that are listed


class ReviewGradePanel(QWidget):
    """Shows what was said of an image; every button has a key, and the keys are quicker."""

    rate_requested = Signal(int)
    rate_labels_requested = Signal(int)
    answer_requested = Signal(str)
    reason_requested = Signal(str)
    comment_requested = Signal(str)
    outlines_requested = Signal()
    step_requested = Signal(int)
    end_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.place, self.name, self.bar = QLabel(), QElidingLabel(), StepBar()
        self.answer = ChoiceRow(("Real  R", "Synthetic  S"), ("R", "S"))
        self.rate = ChoiceRow([str(n) for n in GRADES], _with_keys(_REALISM, ""))
        self.rate_labels = ChoiceRow([str(n) for n in GRADES], _with_keys(_LABELS, "Shift+"))
        self.reasons = {name: _reason_box(name) for name in REASONS}
        self.flagged, self.comment = Caption(_NO_FLAG), QLineEdit()
        self.outlines, self.status = QCheckBox("Outlines  O"), Caption()
        self.previous, self.next = QPushButton("←  Previous"), QPushButton("Next  →")
        self.end = QPushButton("End")
        self._lay_out()
        self._connect()

    def begin(self, sitting: Sitting, *, outlines_shown: bool) -> None:
        """Ask what this sitting asks."""
        blind = sitting.is_blind
        self._fields.show(self.answer, blind)
        self._fields.show(self.rate_labels, not blind)
        self.flagged.setVisible(not blind)
        self.outlines.setVisible(not blind)
        self.show_outlines(outlines_shown)
        self._rate_label.setText("Confidence" if blind else "Realism")
        tooltips = _with_keys(_CONFIDENCE if blind else _REALISM, "")
        for button, tooltip in zip(self.rate.buttons, tooltips, strict=True):
            button.setToolTip(tooltip)

    def show_image(self, sitting: Sitting) -> None:
        """Show what was said of the image before the reviewer."""
        review, total = sitting.review, len(sitting.items)
        self.place.setText(f"{sitting.index + 1} of {total}")
        self.name.setText("" if sitting.is_blind else sitting.title)
        self.name.setToolTip("" if sitting.is_blind else sitting.title)
        self.bar.show_step(sitting.done, total)
        rate = review.confidence if sitting.is_blind else review.realism
        self.rate.show_choice(None if rate is None else rate - 1)
        labels = review.correctness
        self.rate_labels.show_choice(None if labels is None else labels - 1)
        self.answer.show_choice(_ANSWERS.index(review.answer) if review.answer else None)
        for name, box in self.reasons.items():
            with QSignalBlocker(box):
                box.setChecked(name in review.reasons)
        self.flagged.setText(_flag_text(review.flagged))
        self.previous.setEnabled(sitting.index > 0)
        self.next.setEnabled(sitting.index < total - 1)
        self.status.setText(_status(sitting))

    def show_comment(self, comment: str) -> None:
        """Show a comment instead of what is being written."""
        with QSignalBlocker(self.comment):
            self.comment.setText(comment)

    def show_outlines(self, shown: bool) -> None:
        """Show whether the outlines are shown."""
        with QSignalBlocker(self.outlines):
            self.outlines.setChecked(shown)

    def _connect(self) -> None:
        self.rate.chosen.connect(lambda place: self.rate_requested.emit(place + 1))
        self.rate_labels.chosen.connect(lambda place: self.rate_labels_requested.emit(place + 1))
        self.answer.chosen.connect(lambda place: self.answer_requested.emit(_ANSWERS[place]))
        for name, box in self.reasons.items():
            box.toggled.connect(lambda _, name=name: self.reason_requested.emit(name))
        self.comment.editingFinished.connect(
            lambda: self.comment_requested.emit(self.comment.text())
        )
        self.outlines.toggled.connect(lambda _: self.outlines_requested.emit())
        self.previous.clicked.connect(lambda: self.step_requested.emit(-1))
        self.next.clicked.connect(lambda: self.step_requested.emit(1))
        self.end.clicked.connect(self.end_requested)

    def _lay_out(self) -> None:
        self._lay_out_fields()
        self.place.setStyleSheet("font-weight: 600; font-size: 11pt;")
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.name.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.comment.setPlaceholderText("Comment  Enter")
        self.comment.setToolTip("Enter begins a comment; Enter again keeps it.")
        self.end.setToolTip("Stop; everything is kept, and Begin goes on from here.")
        head, buttons = QHBoxLayout(), QHBoxLayout()
        head.addWidget(self.place)
        head.addWidget(self.name, 1)
        buttons.setSpacing(6)
        for button in (self.previous, self.next):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            buttons.addWidget(button, 2)
        buttons.addWidget(self.end, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(head)
        layout.addWidget(self.bar)
        layout.addLayout(self._fields)
        layout.addWidget(self.flagged)
        layout.addWidget(self.comment)
        layout.addWidget(self.outlines)
        layout.addLayout(buttons)
        layout.addWidget(self.status)

    def _lay_out_fields(self) -> None:
        boxes, grid = QWidget(), QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(4)
        for place, box in enumerate(self.reasons.values()):
            grid.addWidget(box, place // 2, place % 2)
        boxes.setLayout(grid)
        self._fields = Fields()
        self._fields.add("This is", self.answer)
        self._fields.add("Realism", self.rate)
        self._fields.add("Labels  ⇧", self.rate_labels)
        self._fields.add("Because of", boxes)
        self._rate_label = self._fields.itemAtPosition(2, 0).widget()


def _with_keys(texts: tuple[str, ...], modifier: str) -> list[str]:
    return [f"{text} ({modifier}{n})" for n, text in zip(GRADES, texts, strict=True)]


def _reason_box(name: str) -> QCheckBox:
    box = QCheckBox(f"{name} {REASON_KEYS[name]}")
    box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return box


def _flag_text(flagged: tuple[int, ...]) -> str:
    if not flagged:
        return _NO_FLAG
    more = "…" if len(flagged) > _MOST_FLAGS else ""
    ids = ", ".join(map(str, flagged[:_MOST_FLAGS]))
    return f"Flagged: {'nucleus' if len(flagged) == 1 else 'nuclei'} {ids}{more}"


def _status(sitting: Sitting) -> str:
    total, verb = len(sitting.items), "answered" if sitting.is_blind else "graded"
    if sitting.done == total:
        return f"All {total} are {verb}, and on the disk. Thank you."
    return f"{sitting.done} of {total} {verb}; each key is on the disk at once."
