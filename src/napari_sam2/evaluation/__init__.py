"""How good the masks are: metrics, and the protocol that prompts, propagates and scores.

Names load on first use, so that asking the command for help stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sam2.evaluation.options import (
    EvaluationOptions,
    OverlapRule,
    PromptFrame,
    PromptKind,
)

if TYPE_CHECKING:
    from napari_sam2.evaluation.metrics import boundary_f, dice, iou
    from napari_sam2.evaluation.pairs import LabelledPair, find_pairs
    from napari_sam2.evaluation.prompting import ObjectPrompt, choose_prompts, interior_point
    from napari_sam2.evaluation.protocol import evaluate_folder, evaluate_sequence
    from napari_sam2.evaluation.report import (
        EvaluationReport,
        ObjectScore,
        SequenceScore,
        format_report,
        report_to_json,
    )

__all__ = [
    "EvaluationOptions",
    "EvaluationReport",
    "LabelledPair",
    "ObjectPrompt",
    "ObjectScore",
    "OverlapRule",
    "PromptFrame",
    "PromptKind",
    "SequenceScore",
    "boundary_f",
    "choose_prompts",
    "dice",
    "evaluate_folder",
    "evaluate_sequence",
    "find_pairs",
    "format_report",
    "interior_point",
    "iou",
    "report_to_json",
]

_HOMES = {
    "metrics": {"boundary_f", "dice", "iou"},
    "pairs": {"LabelledPair", "find_pairs"},
    "prompting": {"ObjectPrompt", "choose_prompts", "interior_point"},
    "protocol": {"evaluate_folder", "evaluate_sequence"},
    "report": {
        "EvaluationReport",
        "ObjectScore",
        "SequenceScore",
        "format_report",
        "report_to_json",
    },
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
