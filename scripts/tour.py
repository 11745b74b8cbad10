"""A walk through the studio with a real mouse and real keys, filmed.

Opens napari with a part of the demo's layout on the X display that there is (a virtual one will
do: the events go through the X server's XTEST extension, as those of a person do), walks the loop -
render, edit, render what changed, stain, variations, compare, apply - and leaves screenshots and a
GIF in the folder given.

    xvfb-run -a -s "-screen 0 1440x900x24" python scripts/tour.py docs/images
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication, QImage
from qtpy.QtWidgets import QApplication, QWidget
from scipy.ndimage import distance_transform_edt
from skimage.measure import regionprops
from skimage.segmentation import clear_border
from Xlib import XK, X, display
from Xlib.ext import xtest

from napari_nudiff.ui.demo import open_demo

_SIDE_PX = 256
_FRAME_S = 0.4
_GIF_WIDTH_PX = 720
_COLOURS = 128
_MOST_FRAMES = 100  # a slow machine would make a long film
_LIMIT_S = 300.0


class Camera:
    """Films the screen: a frame at a time, and none twice.

    Attributes
    ----------
    rolling : bool
        Off where nothing happens that one would like to watch.
    """

    def __init__(self) -> None:
        self.rolling = False
        self._frames: list[NDArray[np.uint8]] = []
        self._next_s = 0.0

    def look(self) -> None:
        """Take a frame, if it is time for one and something moved."""
        if not self.rolling or time.monotonic() < self._next_s:
            return
        frame = smaller(screen())
        if not self._frames or (frame != self._frames[-1]).any():
            self._frames.append(frame)
        self._next_s = time.monotonic() + _FRAME_S

    def develop(self, path: Path) -> None:
        """Write the film: what stays from one frame to the next is not stored again."""
        every = math.ceil(len(self._frames) / _MOST_FRAMES)
        pictures = [Image.fromarray(frame) for frame in self._frames[::every]]
        some = np.concatenate(self._frames[:: max(len(self._frames) // 8, 1)])
        palette = Image.fromarray(some).quantize(_COLOURS)
        drawn = [
            picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
        ]
        drawn[0].save(
            path, save_all=True, append_images=drawn[1:], duration=350, loop=0, optimize=True
        )


class Hands:
    """A mouse and a keyboard.

    Parameters
    ----------
    camera : Camera
    """

    def __init__(self, camera: Camera) -> None:
        self._x = display.Display()
        self._camera = camera
        self._at = QPoint(720, 450)

    def wait(self, seconds: float) -> None:
        """Watch for a while."""
        end_s = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= end_s)

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Watch until something is so.

        Raises
        ------
        TimeoutError
        """
        limit_s = time.monotonic() + _LIMIT_S
        while not done():
            QApplication.processEvents()
            self._camera.look()
            time.sleep(0.005)
            if time.monotonic() > limit_s:
                raise TimeoutError("what the tour waits for did not happen")

    def move(self, to: QPoint, seconds: float = 0.4) -> None:
        """Move the pointer, as a hand would."""
        start, steps = self._at, max(int(seconds / 0.02), 1)
        for step in range(1, steps + 1):
            share = 0.5 - 0.5 * np.cos(np.pi * step / steps)
            at = start + (to - start) * float(share)
            xtest.fake_input(self._x, X.MotionNotify, x=at.x(), y=at.y())
            self._x.sync()
            self.wait(0.02)
        self._at = to

    def click(self, widget: QWidget) -> None:
        """Click on the middle of a widget."""
        self.move(middle_of(widget))
        self.press()

    def press(self) -> None:
        """Click where the pointer is."""
        with self.held():
            self.wait(0.06)
        self.wait(0.15)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the left button."""
        xtest.fake_input(self._x, X.ButtonPress, 1)
        self._x.sync()
        self.wait(0.06)
        yield
        xtest.fake_input(self._x, X.ButtonRelease, 1)
        self._x.sync()
        self.wait(0.06)

    def drag(self, start: QPoint, *to: QPoint, seconds: float = 0.5) -> None:
        """Drag along a line."""
        self.move(start)
        with self.held():
            for point in to:
                self.move(point, seconds)

    def key(self, *names: str) -> None:
        """Press a key, with others held: ``key("Control_L", "Return")``."""
        codes = [self._x.keysym_to_keycode(XK.string_to_keysym(name)) for name in names]
        for code in codes:
            xtest.fake_input(self._x, X.KeyPress, code)
        for code in reversed(codes):
            xtest.fake_input(self._x, X.KeyRelease, code)
        self._x.sync()
        self.wait(0.15)


def middle_of(widget: QWidget) -> QPoint:
    """The middle of a widget, on the screen."""
    return widget.mapToGlobal(widget.rect().center())


def screen() -> NDArray[np.uint8]:
    """What is on the screen, (H, W, 3)."""
    grabbed = QGuiApplication.primaryScreen().grabWindow(0).toImage()
    image = grabbed.convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    bits.setsize(image.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def smaller(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame of the film, at its width."""
    height, width, _ = frame.shape
    side = QImage(frame.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    scaled = side.scaledToWidth(_GIF_WIDTH_PX, Qt.TransformationMode.SmoothTransformation)
    scaled = scaled.convertToFormat(QImage.Format.Format_RGB888)
    bits = scaled.constBits()
    bits.setsize(scaled.sizeInBytes())
    rows = np.frombuffer(bits, np.uint8).reshape(scaled.height(), scaled.bytesPerLine())
    return rows[:, : 3 * scaled.width()].reshape(scaled.height(), scaled.width(), 3).copy()


class Tour:
    """The loop, step by step.

    Parameters
    ----------
    out : Path
        Where pictures go.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.camera = Camera()
        self.hands = Hands(self.camera)
        self.viewer, self.dock = open_demo()
        self.viewer.window._qt_window.move(0, 0)
        self.layout = self._part_of_layout()
        self.hands.wait(3)

    def _part_of_layout(self) -> Any:
        """A layout without an image yet, small enough to watch its renders form."""
        image, layout = self.viewer.layers
        self.dock.nuclei_panel.toolbox.leave()
        self.dock.message.clear()
        self.dock.session.editing.scope = "whole"
        self.viewer.layers.remove(image)
        layout.data = layout.data[:_SIDE_PX, :_SIDE_PX].copy()
        layout.metadata.clear()
        layout.contour = 0
        return layout

    def walk(self) -> None:
        """From a layout to a kept image."""
        self.render()
        self.edit()
        self.render_changes()
        self.vary()
        self.paint_live()
        self.camera.develop(self._out / "tour.gif")
        self.viewer.close()

    def render(self) -> None:
        """Press Render."""
        self.camera.rolling = True
        self.hands.wait(0.6)
        self.hands.click(self.dock.run_panel.render)
        self.finish()
        self.keep("tour-1-rendered.png")

    def edit(self) -> None:
        """Move a nucleus, delete another, and draw one."""
        tools, hands = self.dock.nuclei_panel.tool_bar, self.hands
        hands.click(tools.tools["select"])
        moved, deleted = self.nucleus_near(100, 150), self.nucleus_near(150, 100)
        hands.drag(self.on_canvas(*moved), self.on_canvas(*self.free_place()))
        hands.move(self.on_canvas(*deleted))
        hands.press()
        hands.key("Delete")
        hands.click(tools.tools["ellipse"])
        row, col = self.free_place()
        hands.drag(self.on_canvas(row - 10, col - 14), self.on_canvas(row + 10, col + 14))
        self.keep("tour-2-edited.png")

    def render_changes(self) -> None:
        """Choose what is rendered, and render it with the key."""
        hands, scope = self.hands, self.dock.render_panel.scope
        hands.click(scope)
        hands.key("Down")
        hands.key("Return")
        assert self.dock.session.editing.scope == "changes", "the combo box did not hear the keys"
        hands.key("Control_L", "Return")
        self.finish()
        self.keep("tour-3-changed.png")

    def vary(self) -> None:
        """Ask for three images of one layout, look at them, star one and apply it."""
        hands, panel = self.hands, self.dock.render_panel
        self.dock.session.editing.scope = "whole"
        hands.wait(0.4)
        hands.click(panel.count)
        hands.key("Control_L", "a")
        hands.key("3")
        hands.key("Tab")
        self.camera.rolling = False
        hands.click(self.dock.run_panel.render)
        self.finish()
        self.camera.rolling = True
        hands.wait(0.6)
        for _ in range(2):
            hands.key("n")
            hands.wait(0.6)
        listed = self.dock.results_panel.list
        middle = listed.visualItemRect(listed.item(2)).center()
        hands.move(listed.viewport().mapToGlobal(middle))
        hands.press()
        hands.key("s")
        self.keep("tour-4-variations.png")
        hands.key("Control_L", "Shift_L", "a")
        hands.wait(0.8)

    def paint_live(self) -> None:
        """Turn live mode on and paint a nucleus with napari's own brush."""
        hands = self.hands
        self.dock.session.rendering.count = 1
        hands.click(self.dock.run_panel.live)
        hands.wait_until(lambda: self.dock.studio.has_live_image)
        self.viewer.layers.selection.active = self.layout
        self.layout.mode = "paint"
        self.layout.brush_size = 14
        self.layout.selected_label = int(self.layout.data.max()) + 1
        row, col = self.free_place()
        path = (row, col - 6), (row + 4, col + 8), (row - 2, col)
        hands.drag(*(self.on_canvas(*point) for point in path))
        hands.wait(4)
        self.keep("tour-5-live.png")
        hands.click(self.dock.run_panel.live)
        hands.wait(0.5)

    def finish(self) -> None:
        """Watch until everything is rendered, and a little longer."""
        self.hands.wait_until(lambda: not self.dock.session.busy)
        self.hands.wait(0.8)

    def keep(self, name: str) -> None:
        """Keep a picture of the screen."""
        self.hands.wait(0.3)
        iio.imwrite(self._out / name, screen())

    def nucleus_near(self, row: float, col: float) -> tuple[float, float]:
        """A pixel inside of the whole nucleus that is nearest to a place."""
        inside = [
            nucleus
            for nucleus in regionprops(clear_border(self.layout.data))
            if self.layout.data[tuple(np.round(nucleus.centroid).astype(int))] == nucleus.label
        ]
        nearest = min(inside, key=lambda nucleus: math.dist(nucleus.centroid, (row, col)))
        return nearest.centroid

    def free_place(self) -> tuple[float, float]:
        """The place that is farthest from all nuclei and from the border."""
        free = np.pad(self.layout.data == 0, 1)  # beyond the border nothing is free
        row, col = np.unravel_index(distance_transform_edt(free).argmax(), free.shape)
        return float(row - 1), float(col - 1)

    def on_canvas(self, row: float, col: float) -> QPoint:
        """Where a pixel of the layout is on the screen."""
        world = np.array(self.layout.data_to_world((row, col)))
        camera, native = self.viewer.scene.camera, self.viewer.window._qt_viewer.canvas.native
        centre = np.array(camera.center[-2:])
        y, x = (world - centre) * camera.zoom / native.devicePixelRatioF()
        middle = native.rect().center()
        return native.mapToGlobal(middle + QPoint(round(x), round(y)))


def main() -> None:
    """Walk and film."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    Tour(args.out).walk()


if __name__ == "__main__":
    sys.exit(main())
