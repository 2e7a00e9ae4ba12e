"""What scripts that time have in common: threads, clock, and figures as a file."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def read_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """Add the options of all such scripts, read the command line, and set the threads."""
    parser.add_argument("--threads", type=int, help="of torch; its own choice by default")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


def write_figures(options: argparse.Namespace, results: Sequence[Any]) -> None:
    """Write results, which are dataclasses, and the options they were measured with, if asked."""
    if options.json:
        setup = {key: str(value) for key, value in vars(options).items()}
        content = {"setup": setup, "results": [asdict(each) for each in results]}
        options.json.write_text(json.dumps(content, indent=2), encoding="utf-8")
