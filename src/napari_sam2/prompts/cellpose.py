"""Masks of Cellpose's ``_seg.npy`` files, read without running code of the file.

Such a file is a pickled dictionary. Unpickling calls whatever a file names. Here nothing is called:
each name becomes an inert record of what the file would have called and with what, and the array
of masks is made from the record's bytes.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError

SUFFIX = "_seg.npy"

_REMEDY = "In Cellpose, save the masks as PNG or TIFF, and give these."
_BYTES = bytes | bytearray
_NUMBERS = re.compile(r"[iu][1248]")


class _Inert:
    """A call that a file asks for and that is not made."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, *args: Any) -> None:
        self.name = name
        self.args = args
        self.state: Any = None


class _InertUnpickler(pickle._Unpickler):
    """Reads dictionaries, lists, text and numbers; all else becomes `_Inert`.

    It is Python's own implementation of unpickling: the one in C takes memory for places that a
    file only names.
    """

    # typeshed knows no signature of the table
    dispatch: ClassVar[dict[int, Callable[..., Any]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return partial(_Inert, f"{module_name}.{global_name}")

    def persistent_load(self, pid: Any, /) -> NoReturn:
        raise pickle.UnpicklingError("it refers to another file")

    def load_build(self) -> None:
        state = self.stack.pop()  # type: ignore[attr-defined]
        target = self.stack[-1]  # type: ignore[attr-defined]
        if not isinstance(target, _Inert):
            raise pickle.UnpicklingError("it changes what it did not make")
        target.state = state

    dispatch[pickle.BUILD[0]] = load_build


def _content_of(record: Any) -> tuple[Any, Any, Any, bool]:
    """Return shape, dtype, pixels and whether columns come first, of the record of an array."""
    name = record.name.rpartition(".")[2] if isinstance(record, _Inert) else ""
    if name == "_reconstruct":
        _, shape, dtype, columns_first, content = record.state
        return shape, dtype, content, bool(columns_first)
    if name == "_frombuffer":
        content, dtype, shape, order = record.args
        return shape, dtype, content, order == "F"
    raise pickle.UnpicklingError("an array is missing")


def _labels_of(record: Any) -> NDArray[np.integer[Any]]:
    shape, dtype, content, columns_first = _content_of(record)
    code = dtype.args[0] if isinstance(dtype, _Inert) and dtype.args else ""
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code) or not isinstance(content, _BYTES):
        raise pickle.UnpicklingError("the masks are no whole numbers")
    order = dtype.state[1] if isinstance(dtype.state, tuple) else "<"
    kind = np.dtype(code).newbyteorder(">" if order == ">" else "<")
    pixels: NDArray[np.integer[Any]] = np.frombuffer(content, kind)
    return pixels.reshape(shape, order="F" if columns_first else "C")


def read_cellpose_masks(path: Path) -> NDArray[np.integer[Any]]:
    """Return the label ids of a ``_seg.npy`` file, (Y, X) or (Z, Y, X); 0 is background.

    Raises
    ------
    PromptError
        The file is damaged, holds no masks, or anything that is no plain data.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if shape != () or not dtype.hasobject:
                raise PromptError(
                    f"{path.name} is no file of Cellpose: it is an array of {dtype}.",
                    remedy="Name plain labels otherwise than _seg.npy.",
                )
            # In memory, no length that the file claims takes more than the file has.
            record = _InertUnpickler(io.BytesIO(file.read())).load()
        (whole,) = _content_of(record)[2]
        masks = _labels_of(whole["masks"])
    except PromptError:
        raise
    except OSError as error:
        raise PromptError(
            f"{path} cannot be read: {error.strerror or error}.",
            remedy="Check the path and that the file may be read.",
        ) from error
    except Exception as error:  # damaged pickles raise errors of many kinds
        raise PromptError(
            f"{path.name} cannot be read as masks of Cellpose: {error}.",
            safe="Nothing in it was run.",
            remedy=_REMEDY,
        ) from error
    if masks.ndim < 2:
        raise PromptError(f"{path.name} holds no masks.", remedy=_REMEDY)
    return masks
