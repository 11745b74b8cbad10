"""Small drawings on buttons, in a box of 18 by 18: strokes in the colour of the painter's pen."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QPainter, QPainterPath, QPolygonF

SIDE = 18

_Glyph = Callable[[QPainter], None]


def _arrow(painter: QPainter) -> None:
    points = [(4, 2), (4, 14.5), (7.2, 11.4), (9.4, 16), (11.5, 15), (9.4, 10.6), (13.8, 10.4)]
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in points]))


def _ellipse(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(1.5, 2.5, 11.5, 9))
    _plus(painter, 13.5, 13.5)


def _plus(painter: QPainter, x: float, y: float) -> None:
    painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
    painter.drawLine(QPointF(x, y - 3), QPointF(x, y + 3))


def _stamp(painter: QPainter) -> None:
    handle = QPainterPath(QPointF(7.5, 11))
    handle.cubicTo(8.5, 7.5, 5.6, 6.5, 5.6, 4.4)
    handle.cubicTo(5.6, 0.8, 12.4, 0.8, 12.4, 4.4)
    handle.cubicTo(12.4, 6.5, 9.5, 7.5, 10.5, 11)
    painter.drawPath(handle)
    painter.drawRoundedRect(QRectF(3, 11, 12, 3), 1, 1)
    painter.drawLine(QPointF(3, 16.5), QPointF(15, 16.5))


def _cut(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(3, 4.5, 12, 9))
    _dash(painter)
    painter.drawLine(QPointF(12.5, 1), QPointF(5.5, 17))


def _copy(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(6.5, 6.5, 10, 9))
    back = QPainterPath()
    back.addEllipse(QRectF(1.5, 2.5, 10, 9))
    front = QPainterPath()
    front.addEllipse(QRectF(6.5, 6.5, 10, 9))
    painter.drawPath(back.subtracted(front))


def _merge(painter: QPainter) -> None:
    painter.drawPath(_pair())


def _necks(painter: QPainter) -> None:
    painter.drawPath(_pair())
    _dash(painter)
    painter.drawLine(QPointF(9, 1.5), QPointF(9, 16.5))


def _pair() -> QPainterPath:
    """Two nuclei that are one."""
    left, right = QPainterPath(), QPainterPath()
    left.addEllipse(QRectF(1.5, 4.5, 9, 9))
    right.addEllipse(QRectF(7.5, 4.5, 9, 9))
    return left.united(right)


def _bin(painter: QPainter) -> None:
    painter.drawLine(QPointF(3, 4.5), QPointF(15, 4.5))
    painter.drawLine(QPointF(7, 2.5), QPointF(11, 2.5))
    painter.drawPolyline(
        QPolygonF([QPointF(*p) for p in ((4.5, 4.5), (5.3, 15.5), (12.7, 15.5), (13.5, 4.5))])
    )
    for x in (7.5, 10.5):
        painter.drawLine(QPointF(x, 7.5), QPointF(x, 12.5))


def _dots(painter: QPainter) -> None:
    painter.setBrush(painter.pen().color())
    for x in (4, 9, 14):
        painter.drawEllipse(QPointF(x, 9), 1, 1)


def _turn_left(painter: QPainter) -> None:
    painter.drawArc(QRectF(3.5, 3.5, 11, 11), -60 * 16, 240 * 16)
    painter.drawPolyline(QPolygonF([QPointF(*p) for p in ((0.8, 6.2), (3.7, 9.4), (6.8, 6.4))]))


def _turn_right(painter: QPainter) -> None:
    painter.translate(SIDE, 0)
    painter.scale(-1, 1)
    _turn_left(painter)


def _smaller(painter: QPainter) -> None:
    painter.drawLine(QPointF(5, 9), QPointF(13, 9))


def _larger(painter: QPainter) -> None:
    painter.drawLine(QPointF(5, 9), QPointF(13, 9))
    painter.drawLine(QPointF(9, 5), QPointF(9, 13))


def _dash(painter: QPainter) -> None:
    pen = painter.pen()
    pen.setStyle(Qt.PenStyle.DotLine)
    painter.setPen(pen)


GLYPHS: dict[str, _Glyph] = {
    "arrow": _arrow,
    "ellipse": _ellipse,
    "stamp": _stamp,
    "cut": _cut,
    "copy": _copy,
    "merge": _merge,
    "necks": _necks,
    "bin": _bin,
    "dots": _dots,
    "turn left": _turn_left,
    "turn right": _turn_right,
    "smaller": _smaller,
    "larger": _larger,
}
"""What to draw, by name."""
