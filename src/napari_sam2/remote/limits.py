"""`ServerLimits`: what a server accepts; everything is checked before memory is taken for it.

Values for any thread.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_SIDE = 2**31 - 1
"""Rows, columns or frames that a stack may claim; pixels are limited apart."""

MOST_OBJECT_ID = 2**31 - 1
MOST_HANDLE = 2**63 - 1
MOST_BEYOND = 16
"""Frames after the planned ones that a request names: some are encoded together with them."""

MOST_RECENT = 64
"""Recent frames of one object that a request may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Limits of one server.

    Attributes
    ----------
    body_bytes : int
        Of one request.
    frame_pixels : int
        Rows times columns of one frame.
    frame_bytes : int
        Of one frame, decompressed.
    objects : int
        Objects of one session.
    decided : int
        Prompted and accepted frames of all objects of one session together.
    planned_frames : int
        Frames that one request may ask for.
    sessions : int
        Sessions of one client; beyond them the one unused for longest is dropped.
    clients : int
        Clients with sessions; beyond them the one unused for longest is dropped.
    waiting : int
        Requests of one client at a time.
    frame_cache_bytes : int
        Compressed frames of all clients.
    mask_pixels : int
        Pixels of a frame times objects that are followed into it.
    item_cache_bytes : int
        Prompts and accepted masks of one session.
    state_cache_bytes : int
        Predictions and memories of all sessions, on the device.
    read_s : float
        To receive a request.
    work_s : float
        To answer it; a propagation goes on with another request.
    idle_s : float
        Until a session that nobody uses is dropped.
    """

    body_bytes: int = 2**29
    frame_pixels: int = 100_000_000
    frame_bytes: int = 2**30
    objects: int = 10_000
    decided: int = 200_000
    planned_frames: int = 64
    sessions: int = 4
    clients: int = 8
    waiting: int = 8
    frame_cache_bytes: int = 4 * 2**30
    mask_pixels: int = 2**33
    item_cache_bytes: int = 2**26
    state_cache_bytes: int = 4 * 2**30
    read_s: float = 300.0
    work_s: float = 300.0
    idle_s: float = 3600.0
