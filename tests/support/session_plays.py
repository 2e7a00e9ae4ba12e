"""What users do in a session, on any device: every kind of prompt, following, and mending."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.tracking.device import halved
from napari_sam2.types import FrameMasks

FRAMES = 5
"""So many frames of the stack are used."""

DRAWN = np.pad(np.ones((10, 10), bool), ((24, 6), (30, 8)))


def clicks(session: TrackingSession) -> list[FrameMasks]:
    """Click, refine, choose another mask, click background, and follow both ways."""
    found = [session.add_points(1, 2, [(12, 12)])]
    found += [session.choose(1, 2, rank) for rank in (2, 0)]
    found.append(session.add_points(1, 2, [(20, 12)]))
    found.append(session.add_points(1, 2, [(30, 40)], [False]))
    return found + list(session.propagate())


def boxes_and_masks(session: TrackingSession) -> list[FrameMasks]:
    """Give a box, a click upon it, a mask, and a click upon that."""
    found = [session.add_box(1, 2, (4, 5, 18, 20)), session.add_points(1, 2, [(6, 6)], [False])]
    found += [session.add_mask(2, 4, DRAWN), session.add_points(2, 4, [(26, 32)], [False])]
    found.append(session.add_mask(3, 1, DRAWN[::-1, ::-1]))
    return found + list(session.propagate())


def corrections(session: TrackingSession) -> list[FrameMasks]:
    """Correct, dismiss, accept, merge and split what was followed, and follow it anew."""
    session.add_points(1, 0, [(12, 12)])
    session.add_points(2, 0, [(28, 36)])
    found = list(session.propagate())
    found.append(session.add_points(1, 3, [(20, 20)]))
    found.append(session.add_points(2, 4, [(28, 36), (24, 30)], [False, False]))
    session.accept_all(2)
    found += list(session.propagate())
    session.split(1, 2, 7)
    session.merge(1, 2)
    return found + list(session.propagate(recompute=True))


PLAYS = {play.__name__: play for play in (clicks, boxes_and_masks, corrections)}


def played(
    model: Model, frames: np.ndarray, play: Callable[[TrackingSession], list[FrameMasks]], **options
) -> tuple[np.ndarray, list[FrameMasks], TrackingSession]:
    """Play with the first frames of a stack; return labels, results and session."""
    settings = TrackingSettings(**options)
    session = TrackingSession(model, frames[:FRAMES], keep_logits=True, settings=settings)
    return session.labels, play(session), session


def on(model: Model, device: torch.device, half: bool = False) -> Model:
    """Return a model on another device."""
    network = copy.deepcopy(model.network).to(device)
    return replace(model, network=halved(network) if half else network, device=device, half=half)
