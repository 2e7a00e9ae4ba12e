"""Whatever is raised in the worker, as an error that says what to do."""

from __future__ import annotations

from napari_sam2.errors import DeviceError, Sam2Error, SessionError


def readable(error: Exception) -> Exception:
    """Turn what torch raises into an error that says what to do; leave other errors alone."""
    if isinstance(error, Sam2Error):
        return error
    wrapped: Sam2Error
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        wrapped = DeviceError(
            "The device ran out of memory.",
            safe="All labels so far are kept.",
            remedy="Choose a smaller model, or the device `cpu`.",
        )
    elif isinstance(error, RuntimeError):
        wrapped = SessionError(
            f"Segmenting failed: {error}",
            safe="All labels so far are kept.",
            remedy="Try again; if it fails again, choose another device or model.",
        )
    else:
        return error
    wrapped.__cause__ = error
    return wrapped
