"""Conversion of sessions to `SessionFile` and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from napari_sam2.prompts import JsonScalar, SessionFile, of_channels, of_kind
from napari_sam2.stack import MAX_CHANNELS, FrameStack, StackKind
from napari_sam2.tracking.settings import TrackingSettings


def settings_to_save(
    model_name: str, stack: FrameStack, settings: TrackingSettings
) -> dict[str, JsonScalar]:
    """Return the settings of a session file: model, channels, and how masks are computed."""
    return {
        "model": model_name,
        "channel_axis": stack.channel_axis,
        **_chosen_channels(stack),
        **({"transposed": True} if stack.transposed else {}),
        **of_kind(stack.kind),
        **asdict(settings),
    }


def restored_stack(
    saved: SessionFile,
    data: Any,
    axis: int,
    contrast: Any,
    at: Mapping[int, int] | None = None,
    kind: StackKind | str | None = None,
) -> FrameStack:
    """Read `data` as the session's stack was: contrast, channels, region, held axes, kind."""
    channel_axis = saved.settings.get("channel_axis", "auto")
    return FrameStack(
        data,
        axis=axis,
        channel_axis=channel_axis if isinstance(channel_axis, int) else "auto",
        contrast=contrast or saved.contrast or None,
        at=saved.at if at is None else at,
        channels=saved.channels,
        region=saved.region,
        transposed=saved.settings.get("transposed") is True,
        kind=kind or saved.kind,
    )


def _chosen_channels(stack: FrameStack) -> dict[str, str]:
    """Return which channels are composed, where these are not the first three or all."""
    usual = tuple(range(min(stack.channel_count, MAX_CHANNELS)))
    return {} if stack.channels == usual else of_channels(stack.channels)


def saved_settings(saved: SessionFile) -> TrackingSettings:
    """Return the tracking settings of a session file; unknown names are a later version's."""
    return settings_of(saved.settings)


def settings_of(values: Mapping[str, Any]) -> TrackingSettings:
    """Return the tracking settings among some values; unknown names are left out."""
    known = {field.name for field in fields(TrackingSettings)}
    return TrackingSettings(**{name: value for name, value in values.items() if name in known})
