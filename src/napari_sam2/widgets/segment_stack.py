"""`segment_stack`: from layers to a Labels layer, without the panel.

It runs on the thread that calls it.
"""

# No postponed annotations here: magicgui reads them as they are.
import warnings
from collections.abc import Sequence

from napari.layers import Image, Labels, Points, Shapes
from tqdm.auto import tqdm

from napari_sam2.types import Direction, Speed, StackKind
from napari_sam2.widgets.layers.appearance import label_colours
from napari_sam2.widgets.scripting.job import ScriptJob, read_job
from napari_sam2.widgets.scripting.run import ScriptResult, run_job
from napari_sam2.widgets.worker.session_factory import SessionFactory

_OPACITY = 0.5


def segment_stack(
    image: Image,
    points: Points | None = None,
    shapes: Shapes | None = None,
    labels: Labels | None = None,
    model: str = "bundled",
    device: str = "auto",
    axis: int | None = None,
    direction: Direction = Direction.BOTH,
    channels: Sequence[Image] = (),
    region: tuple[int, int, int, int] | None = None,
    through: int | None = None,
    speed: Speed = Speed.EXACT,
    precision: str = "auto",
    kind: StackKind | None = None,
) -> Labels:
    """Segment objects in a frame and follow them through the stack.

    The same as the panel does, in one call, for scripts, notebooks and napari's console. It waits
    until all frames are done; a progress bar is shown where there is a terminal or a notebook.

    Parameters
    ----------
    image : Image
        The stack, in any number of dimensions; it is seen in the contrast of the layer.
    points : Points, optional
        Clicks. With a feature ``object`` they belong to the objects with these ids, and with a
        feature ``positive`` those that are False lie on the background. Without ``object`` every
        point is an object of its own.
    shapes : Shapes, optional
        Rectangles are boxes, polygons and ellipses masks, paths and lines scribbles; the features
        are those of points.
    labels : Labels, optional
        Every object in every frame is a mask prompt and keeps its id; labels of one plane (Y, X)
        belong to the first frame.
    model : str
        Name of a model, or the path of a checkpoint.
    device : str
        "auto", "cpu", "cuda" or "mps".
    axis : int, optional
        The video axis; it is guessed if left out. Other axes than this, Y and X are not crossed:
        the stack at each of their positions with prompts is segmented for itself.
    direction : Direction or str
        "both", "forward" or "backward".
    channels : sequence of Image, optional
        Up to two further channels, each in its own contrast: layers of the same size and place.
    region : (y0, x0, y1, x1), optional
        Look at these rows and columns only, ends excluded, at their own resolution; the labels
        have the size of the image all the same.
    through : int, optional
        An axis to go on along from volume to volume, such as that of time: each object is followed
        there in the frame with most of it, and its mask there is a prompt of the next volume.
    speed : Speed or str
        "exact", or with approximations "balanced" or "fastest".
    precision : str
        "auto", "float32" or "bfloat16": automatic takes bfloat16 on graphics cards that compute it
        natively, and float32 elsewhere.
    kind : StackKind or str, optional
        What the frames are: "z-stack" or "time-lapse"; by default what the axis of the layer is
        called. In a z-stack, objects end where others follow them from slice to slice.

    Returns
    -------
    Labels
        A new layer that lies over the image; it is in no viewer yet.

    Raises
    ------
    Sam2Error
        The layers do not fit, there is no prompt in the image, or it cannot be segmented.
    """
    job = read_job(
        image,
        points,
        shapes,
        labels,
        model=model,
        device=device,
        axis=axis,
        kind=kind,
        direction=direction,
        channels=channels,
        region=region,
        through=through,
        speed=speed,
        precision=precision,
    )
    with tqdm(desc=image.name, unit="frame", disable=None) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        result = run_job(job, SessionFactory(), tell, lambda: False)
    for error in result.refused:
        warnings.warn(f"A prompt was left out: {error}", stacklevel=2)
    for reason in result.skipped:
        warnings.warn(f"A frame was skipped: {reason}", stacklevel=2)
    return as_layer(job, result)


def as_layer(job: ScriptJob, result: ScriptResult) -> Labels:
    """Make a Labels layer of what came of a job. Main thread only."""
    return Labels(result.labels, opacity=_OPACITY, colormap=label_colours(), **job.placed)
