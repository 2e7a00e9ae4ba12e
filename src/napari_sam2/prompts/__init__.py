"""Prompts per object and frame (points, boxes, masks), and the files that store them.

Prompts are frozen values for any thread; a `PromptBook` is changed by its owner only.
"""

from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.cellpose import SUFFIX as CELLPOSE_SUFFIX
from napari_sam2.prompts.cellpose import read_cellpose_masks
from napari_sam2.prompts.files import (
    read_prompts,
    read_session,
    read_sessions,
    write_prompts,
)
from napari_sam2.prompts.frame_prompt import FramePrompt
from napari_sam2.prompts.napari_csv import TablePlaces
from napari_sam2.prompts.run_length_masks import decode_run_lengths, encode_run_lengths
from napari_sam2.prompts.session_file import (
    SESSION_SUFFIX,
    JsonScalar,
    MaskStore,
    SessionFile,
    kind_of,
    of_channels,
    of_kind,
    prompts_to_json,
    write_session,
    write_sessions,
)
from napari_sam2.prompts.session_reader import session_at
from napari_sam2.prompts.translate import moved_book, moved_mask

__all__ = [
    "CELLPOSE_SUFFIX",
    "SESSION_SUFFIX",
    "FramePrompt",
    "JsonScalar",
    "MaskStore",
    "PromptBook",
    "SessionFile",
    "TablePlaces",
    "decode_run_lengths",
    "encode_run_lengths",
    "kind_of",
    "moved_book",
    "moved_mask",
    "of_channels",
    "of_kind",
    "prompts_to_json",
    "read_cellpose_masks",
    "read_prompts",
    "read_session",
    "read_sessions",
    "session_at",
    "write_prompts",
    "write_session",
    "write_sessions",
]
