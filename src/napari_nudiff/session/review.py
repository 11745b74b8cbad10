"""A reviewer goes through images; what is said of one is on the disk before the next key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from psygnal import Signal, SignalGroupDescriptor

from napari_nudiff.dataset.candidates import SESSION_FILE
from napari_nudiff.dataset.pair import Layout, Pair
from napari_nudiff.dataset.review import (
    REASONS,
    Order,
    Review,
    ReviewFile,
    Reviews,
    read_reviews,
)
from napari_nudiff.dataset.review_items import (
    Item,
    Window,
    find_items,
    study_order,
    study_windows,
)
from napari_nudiff.errors import RequestError
from napari_nudiff.session.jobs import Job, JobError, JobQueue
from napari_nudiff.work import Work


@dataclass
class ReviewSettings:
    """What is reviewed, by whom, and how."""

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    # Sessions, .nudiff files, folders of either or of what `nudiff generate` wrote.
    synthetic: tuple[Path, ...] = ()
    # Folders of real images.
    real: tuple[Path, ...] = ()
    # Becomes part of the name of a file.
    reviewer: str = ""
    # Where the reviews are written; None = beside the first source.
    folder: Path | None = None
    # A reader study: real or synthetic?
    blind: bool = False
    seed: int = 0

    def reviews_folder(self) -> Path | None:
        """Where the reviews are written; None as long as there is no source."""
        sources = self.synthetic or self.real
        return self.folder or (folder_beside(sources[0]) if sources else None)


def folder_beside(source: Path) -> Path:
    """Where reviews of a source lie: in it, or beside it where it is a file or a session.

    A session's folder is replaced when the session is saved again.
    """
    is_plain = source.is_dir() and not (source / SESSION_FILE).is_file()
    return source if is_plain else source.parent


class Sitting:
    """One reviewer and the images before them.

    Parameters
    ----------
    items : list of Item
        In the order in which they are shown.
    file : ReviewFile
    earlier : Reviews
        What was said before.
    windows : dict of str to Window, optional
        Of a reader study: the parts that are shown.
    problems : list of str, optional
        What was left out, and why.
    """

    moved = Signal()
    changed = Signal()

    def __init__(
        self,
        items: list[Item],
        file: ReviewFile,
        earlier: Reviews,
        windows: dict[str, Window] | None = None,
        problems: list[str] | None = None,
    ) -> None:
        self.items, self.file, self.problems = items, file, problems or []
        self._windows = windows
        self._said = [self._before(item, earlier) for item in items]
        self.index = next((i for i in range(len(items)) if not self._is_done(i)), 0)

    @property
    def is_blind(self) -> bool:
        """Whether it is a reader study."""
        return self._windows is not None

    @property
    def item(self) -> Item:
        """What is before the reviewer."""
        return self.items[self.index]

    @property
    def review(self) -> Review:
        """What the reviewer says of it."""
        return self._said[self.index]

    @property
    def title(self) -> str:
        """What to call it; in a reader study that tells nothing."""
        return f"image {self.index + 1}" if self.is_blind else self.item.name

    @property
    def done(self) -> int:
        """How many images the reviewer is done with."""
        return sum(map(self._is_done, range(len(self.items))))

    def pair(self) -> Pair:
        """Read what is before the reviewer; in a reader study without what would give it away.

        Raises
        ------
        NudiffError
            It can no longer be read.
        """
        pair = self.item.load()
        if self._windows is None:
            return pair
        window = self._windows[self.item.image].slices
        return Pair(Layout(0 * pair.labels[window]), pair.pixels[window], self.title)

    def step(self, by: int) -> None:
        """Go on or back; there is nothing beyond the ends."""
        index = min(max(self.index + by, 0), len(self.items) - 1)
        if index != self.index:
            self.index = index
            self.moved.emit()

    def rate(self, grade: int) -> None:
        """Grade how real the image looks; in a study, how sure the reviewer is of the answer."""
        self._say(**{"confidence" if self.is_blind else "realism": grade})

    def rate_labels(self, grade: int) -> None:
        """Grade how well the labels fit; a study shows none."""
        if not self.is_blind:
            self._say(correctness=grade)

    def answer(self, answer: str) -> None:
        """Say whether the image is "real" or "synthetic"; only a study asks."""
        if self.is_blind:
            self._say(answer=answer)

    def toggle_reason(self, reason: str) -> None:
        """Give a reason, or take it back."""
        given = set(self.review.reasons) ^ {reason}
        self._say(reasons=tuple(one for one in REASONS if one in given))

    def toggle_flag(self, nucleus_id: int) -> None:
        """Flag a nucleus, or take its flag away; 0 is none."""
        if nucleus_id and not self.is_blind:
            self._say(flagged=tuple(sorted(set(self.review.flagged) ^ {nucleus_id})))

    def comment(self, text: str) -> None:
        """Say something in words."""
        self._say(comment=text.strip())

    def _say(self, **what: Any) -> None:
        """Write what changed before it is shown: what cannot be kept is not shown as said."""
        said = replace(self.review, **what)
        if said != self.review:
            self._said[self.index] = cast("Review", self.file.append(said))
            self.changed.emit()

    def _is_done(self, index: int) -> bool:
        said = self._said[index]
        return bool(said.answer) if self.is_blind else said.realism is not None

    def _before(self, item: Item, earlier: Reviews) -> Review:
        """What was said of an image before; of other labels than these, nothing."""
        fresh = Review(self.file.reviewer, item.image, item.layout, item.name, item.synthetic)
        said = earlier.of(fresh.reviewer, item.image) or fresh
        if said.layout != item.layout:
            said = replace(said, correctness=None, flagged=())
        return replace(said, layout=item.layout, name=item.name, synthetic=item.synthetic)


def open_sitting(settings: ReviewSettings) -> Work[Sitting]:
    """Find the images, read what was said before, and put them in order.

    Yields
    ------
    Progress
        Images read.

    Raises
    ------
    NudiffError
        There is nothing to review, or something is missing.
    """
    folder = settings.reviews_folder()
    if folder is None:
        raise RequestError("There is nothing to review yet. Add a folder of images.")
    file = ReviewFile(folder, settings.reviewer)
    found = yield from find_items(settings.synthetic, settings.real)
    earlier = read_reviews(folder) if folder.is_dir() else Reviews()
    problems = [*found.problems, *(f"Not read: {one}." for one in earlier.dropped)]
    if not settings.blind:
        return Sitting(found.items, file, earlier, problems=problems)
    _require_both(found.items)
    order = _order(found.items, settings.seed, file, earlier)
    windows = study_windows(found.items, settings.seed)
    return Sitting(order, file, earlier, windows, problems)


def _require_both(items: list[Item]) -> None:
    kinds = {item.synthetic for item in items}
    if len(kinds) < 2:
        missing = "real" if True in kinds else "synthetic"
        raise RequestError(
            f"A reader study mixes real and synthetic images; there are no {missing} ones. "
            "Nothing was written. Add a folder of them."
        )


def _order(items: list[Item], seed: int, file: ReviewFile, earlier: Reviews) -> list[Item]:
    """The order of before, new images after it; it is stored when it is new."""
    by_image = {item.image: item for item in items}
    stored = [o for o in earlier.orders if (o.reviewer, o.seed) == (file.reviewer, seed)]
    known = [image for image in (stored[-1].images if stored else ()) if image in by_image]
    new = study_order([i for i in by_image if i not in set(known)], seed, file.reviewer)
    if new:
        file.append(Order(file.reviewer, seed, (*known, *new)))
    return [by_image[image] for image in (*known, *new)]


class ReviewSession:
    """What is reviewed, and the sitting that was begun.

    Parameters
    ----------
    queue : JobQueue
        Where images are read.
    """

    progressed = Signal(object)  # Progress
    began = Signal(object)  # Sitting
    ended = Signal()
    failed = Signal(object)  # JobError

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._job: Job[Sitting] | None = None
        self.settings = ReviewSettings()
        self.sitting: Sitting | None = None

    @property
    def is_opening(self) -> bool:
        """Whether images are being read."""
        return self._job is not None

    def begin(self) -> None:
        """Read the images and show the first that is not graded; once is enough."""
        if self._job is not None:
            return
        self.end()
        self._job = Job(open_sitting(replace(self.settings)), title="review")
        self._job.progressed.connect(lambda _, progress: self.progressed.emit(progress))
        self._job.ended.connect(self._on_ended)
        self._queue.add(self._job)

    def end(self) -> None:
        """Leave the sitting; all that was said is on the disk."""
        if self.sitting is not None:
            self.sitting = None
            self.ended.emit()

    def close(self) -> None:
        """Leave the sitting, and stop reading images."""
        if self._job is not None:
            self._queue.cancel(self._job)
        self.end()

    def _on_ended(self, job: Job[Sitting]) -> None:
        self._job = None
        outcome = job.outcome
        if isinstance(outcome, JobError):
            self.failed.emit(outcome)
        elif isinstance(outcome, Sitting):
            self.sitting = outcome
            self.began.emit(outcome)
        else:
            self.ended.emit()
