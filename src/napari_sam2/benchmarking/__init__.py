"""Benchmarks: the speed of a model on this machine, and the limits of the machine.

All of it runs on the caller's thread.
"""

import napari_sam2._memory  # noqa: F401 - says what is needed before torch is loaded
from napari_sam2.benchmarking.discs import DriftingDiscs
from napari_sam2.benchmarking.end_to_end import (
    EndToEnd,
    Journey,
    agreement,
    measure_end_to_end,
    uint16_stack,
)
from napari_sam2.benchmarking.machine import PeakMemory, device_name
from napari_sam2.benchmarking.meter import STAGES, StageMeter, StageTotal
from napari_sam2.benchmarking.report import (
    BenchmarkReport,
    SpeedResult,
    StageCost,
    format_report,
    report_to_json,
    table,
)
from napari_sam2.benchmarking.roofline import measured_peak
from napari_sam2.benchmarking.speed import Workload, measure_model, measure_speed

__all__ = [
    "STAGES",
    "BenchmarkReport",
    "DriftingDiscs",
    "EndToEnd",
    "Journey",
    "PeakMemory",
    "SpeedResult",
    "StageCost",
    "StageMeter",
    "StageTotal",
    "Workload",
    "agreement",
    "device_name",
    "format_report",
    "measure_end_to_end",
    "measure_model",
    "measure_speed",
    "measured_peak",
    "report_to_json",
    "table",
    "uint16_stack",
]
