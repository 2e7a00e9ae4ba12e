"""Evaluation: metrics, and the protocol that prompts, propagates and scores.

Names load on first use, so that the help of the command stays quick.
All of it runs on the caller's thread.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sam2.evaluation.options import (
    STANDARD_PROTOCOLS,
    EvaluationOptions,
    OverlapRule,
    PromptFrame,
    PromptKind,
    PromptProtocol,
)

if TYPE_CHECKING:
    from napari_sam2.evaluation.matching import segmentation_accuracy
    from napari_sam2.evaluation.methods import BaselineMethod, Method, ModelMethod
    from napari_sam2.evaluation.metrics import boundary_f, dice, iou
    from napari_sam2.evaluation.pairs import LabelledPair, find_pairs
    from napari_sam2.evaluation.protocol import (
        evaluate_folder,
        evaluate_methods,
        evaluate_sequence,
    )
    from napari_sam2.evaluation.report import (
        EvaluationReport,
        MethodScores,
        format_report,
        report_to_json,
    )
    from napari_sam2.evaluation.scores import ObjectScore, SequenceScore
    from napari_sam2.evaluation.simulated_user import (
        Click,
        ObjectPrompt,
        choose_prompts,
        corrective_click,
        interior_point,
    )

__all__ = [
    "STANDARD_PROTOCOLS",
    "BaselineMethod",
    "Click",
    "EvaluationOptions",
    "EvaluationReport",
    "LabelledPair",
    "Method",
    "MethodScores",
    "ModelMethod",
    "ObjectPrompt",
    "ObjectScore",
    "OverlapRule",
    "PromptFrame",
    "PromptKind",
    "PromptProtocol",
    "SequenceScore",
    "boundary_f",
    "choose_prompts",
    "corrective_click",
    "dice",
    "evaluate_folder",
    "evaluate_methods",
    "evaluate_sequence",
    "find_pairs",
    "format_report",
    "interior_point",
    "iou",
    "report_to_json",
    "segmentation_accuracy",
]

_HOMES = {
    "matching": {"segmentation_accuracy"},
    "methods": {"BaselineMethod", "Method", "ModelMethod"},
    "metrics": {"boundary_f", "dice", "iou"},
    "pairs": {"LabelledPair", "find_pairs"},
    "simulated_user": {
        "Click",
        "ObjectPrompt",
        "choose_prompts",
        "corrective_click",
        "interior_point",
    },
    "protocol": {"evaluate_folder", "evaluate_methods", "evaluate_sequence"},
    "report": {"EvaluationReport", "MethodScores", "format_report", "report_to_json"},
    "scores": {"ObjectScore", "SequenceScore"},
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
