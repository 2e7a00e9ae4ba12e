"""The memory that torch needs to be loaded at all; it is checked when this module is imported.

It runs once, on the thread that first loads torch.
"""

from __future__ import annotations

from napari_sam2.errors import DeviceError

NEEDED_BYTES = 900_000_000
"""Address space with torch and this package loaded; measured: 790 MB with two cores."""


def check_address_space() -> None:
    """Check the limit of this process's address space before torch is loaded.

    Below it, torch's libraries cannot be mapped: Python would end with a traceback of the linker,
    or be aborted by a thread library.

    Raises
    ------
    DeviceError
        The limit (``ulimit -v``) is too low.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= NEEDED_BYTES:
        return
    raise DeviceError(
        f"This process may use {limit / 1e6:.0f} MB of address space; to load torch alone takes "
        f"{NEEDED_BYTES / 1e6:.0f} MB.",
        safe="Nothing was begun.",
        remedy="Raise the limit (ulimit -v, or the memory limit of the batch job), and allow some "
        "GB for models and images.",
    )


check_address_space()
