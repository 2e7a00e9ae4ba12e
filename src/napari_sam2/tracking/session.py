"""The session that users hold: prompts in, masks out, labels filled as frames arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, NoReturn

from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import FrameError, Sam2Error, SessionError
from napari_sam2.prompts import (
    FramePrompt,
    MaskStore,
    PromptBook,
    SessionFile,
    read_session,
    write_session,
)
from napari_sam2.prompts.checks import check_frame, check_object_id
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.following import SessionFollowing
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.publishing import Publisher
from napari_sam2.tracking.session_file import restored_stack, saved_settings, session_file
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.template import SessionTemplate
from napari_sam2.tracking.tracker import Tracker, approximations, follows_objects
from napari_sam2.types import FrameMasks


class TrackingSession(SessionFollowing):
    """Objects of one stack, prompted on some frames and followed through the others.

    Features, memories and predictions are kept for a bounded number of frames, however long the
    stack; only the labels grow with it. Methods may be called from several threads; a prompt that
    comes during a propagation waits for the current frame and is then taken in.

    Parameters
    ----------
    model : Model
        From `load_model`.
    stack : array-like or FrameStack
        YX, TYX, ZYX, TYXC and so on; see `FrameStack` for what else.
    axis : int
        The video axis of an array-like `stack`.
    keep_logits : bool
        Also hand out mask logits at full resolution.
    labels : array-like, optional
        An integer array (T, Y, X), numpy or zarr, to fill; a new one by default. What it holds
        already is not overwritten by other objects.
    settings : TrackingSettings
    contrast : (low, high), optional
        Intensities shown as black and white; robust percentiles of the stack by default.

    Raises
    ------
    StackError
        The stack has no frames that can be read as pixels.
    LabelsError
        The labels do not fit the stack, or cannot be written.
    SessionError
        The model or the settings are something else.
    """

    def __init__(
        self,
        model: Model,
        stack: Any,
        axis: int = 0,
        *,
        keep_logits: bool = False,
        labels: Any = None,
        settings: TrackingSettings | None = None,
        contrast: tuple[float, float] | None = None,
    ) -> None:
        _check_given(model, settings)
        self.model = model
        self.stack = (
            stack
            if isinstance(stack, FrameStack)
            else FrameStack(stack, axis=axis, contrast=contrast)
        )
        self.settings = settings or TrackingSettings()
        self.prompts = PromptBook(self.stack.shape)
        self._publisher = Publisher(self.stack.shape, labels, self.settings, keep_logits)
        self._tracker = Tracker(model, self.stack, self.settings, self._publisher)
        self._lock = threading.RLock()
        self._cancelled = threading.Event()
        self._skipped: dict[int, FrameError] = {}
        self.handed_over: set[tuple[int, int]] = set()

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a copy would share memories, labels and the lock."""
        raise SessionError(
            "A session cannot be copied or sent to another process.",
            safe="It is unchanged.",
            remedy="Save it, and load the file there: session.save(path), TrackingSession.load.",
        )

    @property
    def template(self) -> SessionTemplate:
        """How it computes: opens sessions on other stacks that compute alike."""
        return SessionTemplate(
            type(self),
            self.model.name,
            str(self.model.device),
            self.model.image_size,
            self.model.half,
            follows_objects(self.model, self.settings),
            self.settings,
        )

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.stack.frame_shape

    @property
    def approximations(self) -> tuple[str, ...]:
        """What the speed that was chosen leaves out with this model; nothing if it is exact."""
        return approximations(self.model, self.settings)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects with prompts, ascending."""
        return tuple(sorted(self._tracker.tracks))

    @property
    def accepted(self) -> tuple[tuple[int, int], ...]:
        """Accepted (frame, object id), ascending."""
        return tuple(sorted(self._publisher.accepted))

    @property
    def skipped(self) -> tuple[FrameError, ...]:
        """Why which frames were skipped since the session was loaded or `propagate` called.

        Decided frames that could not be attended to, since they cannot be read, are among them.
        """
        found = self._tracker.unread | self._skipped
        return tuple(found[frame] for frame in sorted(found))

    @property
    def labels(self) -> Any:
        """The labels (T, Y, X), filled as frames arrive; 0 is background."""
        return self._publisher.volume.array

    def add_points(
        self,
        object_id: int,
        frame: int,
        points: Sequence[Sequence[float]] | NDArray[Any],
        positive: Sequence[bool] | None = None,
    ) -> FrameMasks:
        """Click an object in a frame; its mask there comes back at once.

        A further click refines what the earlier ones in that frame gave, and a click in a frame
        that was tracked corrects it: `propagate` then recomputes up to the neighbouring prompted
        or accepted frames.

        Parameters
        ----------
        object_id : int
            Label id, from 1.
        frame : int
        points : sequence of (y, x)
            In pixels of the frame, pixel centres at integers.
        positive : sequence of bool, optional
            True on the object (default), False on the background.

        Returns
        -------
        FrameMasks
            This object in this frame.

        Raises
        ------
        PromptError
            The prompt is outside the stack, or no prompt at all.
        """
        return self._prompt(
            object_id,
            frame,
            lambda: self.prompts.add_points(object_id, frame, points, positive),
            refines=True,
        )

    def add_box(self, object_id: int, frame: int, box: Sequence[float]) -> FrameMasks:
        """Draw a box (y0, x0, y1, x1) around an object; its mask comes back at once."""
        return self._prompt(object_id, frame, lambda: self.prompts.add_box(object_id, frame, box))

    def add_mask(self, object_id: int, frame: int, mask: ArrayLike) -> FrameMasks:
        """Give an object's mask in a frame, shape (Y, X); it is kept exactly as drawn."""
        return self._prompt(object_id, frame, lambda: self.prompts.add_mask(object_id, frame, mask))

    def set_points(
        self,
        object_id: int,
        frame: int,
        points: Sequence[Sequence[float]] | NDArray[Any],
        positive: Sequence[bool] | None = None,
    ) -> FrameMasks:
        """Replace the points of an object in a frame, as after moving or deleting one."""
        return self._prompt(
            object_id,
            frame,
            lambda: self.prompts.add_points(object_id, frame, points, positive, replace=True),
        )

    def remove_prompts(self, object_id: int, frame: int | None = None) -> None:
        """Take prompts back: those of one frame, or the whole object with its labels.

        Labels around the frame stay until `propagate` computes them anew. An object without any
        prompted or accepted frame left is gone from the labels too.

        Raises
        ------
        SessionError, PromptError
            There is no such object, or no prompt of it in that frame.
        """
        with self._lock:
            self._tracker.track(object_id)
            if frame is not None:
                self.prompts.remove(object_id, frame)
                self._tracker.release(object_id, frame)
                return
            if self.prompts.frames(object_id):
                self.prompts.remove(object_id)
            self._tracker.forget(object_id)

    def save(self, path: str | PathLike[str]) -> None:
        """Write prompts, accepted frames and settings to a session file, atomically."""
        write_session(self.to_file(), path)

    def to_file(self) -> SessionFile:
        """Return what `save` writes."""
        with self._lock:
            return session_file(
                self.prompts,
                MaskStore((pair, self._publisher.mask(*pair)) for pair in self.accepted),
                MaskStore((pair, mask.unpack()) for pair, mask in self.corrected_masks().items()),
                frozenset(self.handed_over),
                self.stack,
                self.settings,
                self.model.name,
            )

    @classmethod
    def load(
        cls, path: str | PathLike[str], model: Model, stack: Any, axis: int = 0, **options: Any
    ) -> TrackingSession:
        """Replay a session file on a stack; `options` are those of the constructor.

        Where the settings skip frames that cannot be read, clicks and boxes in such frames are
        left out, see `skipped`; what was drawn, corrected or accepted there is in the labels.

        Raises
        ------
        PromptError
            The file is damaged, or made for a stack of another size.
        """
        saved = read_session(path)
        if not isinstance(stack, FrameStack):
            stack = restored_stack(saved, stack, axis, options.pop("contrast", None))
        options.setdefault("settings", saved_settings(saved))
        session = cls(model, stack, **options)
        for _ in session.replay(saved):
            pass
        return session

    def _prompt(
        self, object_id: int, frame: int, change: Callable[[], FramePrompt], refines: bool = False
    ) -> FrameMasks:
        """Change the prompts and decide the frame; if that fails, no prompt has changed."""
        object_id, frame = check_object_id(object_id), check_frame(frame, self.n_frames)
        with self._lock:
            before = self.prompts.get(object_id, frame)
            prompt = change()
            self._tracker.forgive()
            try:
                refines = refines and before is not None
                result = self._tracker.decide(object_id, frame, prompt, refines=refines)
                self.handed_over.discard((frame, object_id))
                return result
            except Sam2Error:
                if before is None:
                    self.prompts.remove(object_id, frame)
                else:
                    self.prompts.put(object_id, frame, before)
                raise


def _check_given(model: object, settings: object) -> None:
    """Tell what is mixed up easily: a model and its name, settings and a dictionary of them."""
    if not isinstance(model, Model):
        raise SessionError(
            f"The model of a session is what load_model returns, not {_short(model)}.",
            remedy="Pass load_model(name).",
        )
    if not isinstance(settings, TrackingSettings | None):
        raise SessionError(
            f"The settings of a session are TrackingSettings, not {_short(settings)}.",
            remedy="Pass TrackingSettings(...).",
        )


def _short(value: object) -> str:
    return repr(value) if isinstance(value, str | None) else f"a {type(value).__name__}"
