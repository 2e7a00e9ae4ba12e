"""All values that the user chooses in a panel, as one frozen value. Any thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam2.types import Direction, Speed, StackKind
from napari_sam2.widgets.state.model_catalog import ServerUse
from napari_sam2.widgets.state.session_spec import RunPlan, Through
from napari_sam2.widgets.state.settings import AUTO, HERE, ON_SERVER, ModelUse

if TYPE_CHECKING:
    from napari.layers import Image, Labels


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """The values of a panel's fields at one time; `PanelFields` holds the fields themselves.

    Attributes
    ----------
    image : Image or None
        The layer to segment.
    axis : int or None
        Video axis; None for a single image.
    kind : StackKind
        What the frames along it are.
    channel_axis : int or None
        A nameless slider that holds channels.
    channel : int or None
        First channel of an image that holds several; None for the one in view.
    channel_2, channel_3 : int, Image or None
        Further channels: of the same image, or other layers.
    part : str
        Part of the image to work in: "whole", "view" or "rectangle".
    compute_on : str
        "here" or "server".
    server, token : str
        Address and token of the server.
    model, device, precision : str
        See `ModelUse`.
    speed : Speed
    object_id : int
        The object that the next prompts are for.
    every_click : bool
        Every click of an object, and every box, is a new object.
    in_view : bool
        Look for objects only where the canvas shows the frame.
    min_size, max_size : int
        Smallest and largest area in pixels of objects that are looked for. A smallest area of 0
        leaves out what is unlikely; a largest area of 0 is no limit.
    look_again : int
        Look for objects again in every so many frames, and propagate in between; 0: only in the
        frame in view.
    similarity : float
        Least similarity to the examples of objects that are added.
    labels_layer : Labels or None
        Layer whose objects can be taken as prompts.
    then : Through or None
        Volumes to propagate through after this one.
    first, last : int
        Frames to propagate through, both included; their order does not matter.
    only_current : bool
        Propagate the current object only.
    recompute : bool
        Also compute frames that are up to date.
    minutes : float
        Time that adapting may take.
    autosave : bool
        Write the session to a file at every change.
    """

    image: Image | None = None
    axis: int | None = None
    kind: StackKind = StackKind.UNKNOWN
    channel_axis: int | None = None
    channel: int | None = None
    channel_2: int | Image | None = None
    channel_3: int | Image | None = None
    part: str = "whole"
    compute_on: str = HERE
    server: str = ""
    token: str = field(default="", repr=False)
    model: str = ModelUse().model
    device: str = AUTO
    precision: str = AUTO
    speed: Speed = Speed.EXACT
    object_id: int = 1
    every_click: bool = False
    in_view: bool = False
    min_size: int = 0
    max_size: int = 0
    look_again: int = 0
    similarity: float = 0.8
    labels_layer: Labels | None = None
    then: Through | None = None
    first: int = 0
    last: int = 0
    only_current: bool = False
    recompute: bool = False
    minutes: float = 2.0
    autosave: bool = True

    @property
    def use(self) -> ModelUse:
        """The model and the way it computes."""
        there = self.compute_on == ON_SERVER and bool(self.server)
        server = ServerUse(self.server, self.token) if there else None
        return ModelUse(self.model, self.device, self.precision, self.speed, server)

    @property
    def further_channels(self) -> tuple[int | Image, ...]:
        """The channels that are composed besides the first one, each once."""
        chosen = (self.channel_2, self.channel_3)
        return tuple(dict.fromkeys(each for each in chosen if each is not None))

    def plan(self, direction: Direction, object_id: int) -> RunPlan:
        """Return the propagation in a direction, with this object as the current one."""
        first, last = sorted((self.first, self.last))
        only = frozenset({object_id}) if self.only_current else None
        return RunPlan(direction, first, last + 1, only, self.recompute, self.then)
