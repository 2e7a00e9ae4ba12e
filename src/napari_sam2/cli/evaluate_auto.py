"""The part of ``napari-sam2 evaluate`` that measures objects found without prompts."""

from __future__ import annotations

import json as json_text
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import typer

from napari_sam2._text_table import table_lines
from napari_sam2.cli.common import write_report
from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.automatic import (
    AutomaticScore,
    evaluate_automatic,
    evaluate_watershed,
)
from napari_sam2.evaluation.pairs import LabelledPair, find_pairs
from napari_sam2.evaluation.report import FIRST_CHANNEL
from napari_sam2.segmentation.session_runner import INTERRUPTED_EXIT_CODE, soft_interrupt
from napari_sam2.types import StackKind

_TITLES = (
    *("set", "method", "objects", "mSA", "SA50", "precision", "recall", "s/frame"),
    *("one id", "stack F1"),
)


def evaluate_auto(
    folder: Path,
    model: tuple[str, str, int | None],
    *,
    every: int | None,
    baseline: bool,
    kind: StackKind | None,
    limit: int | None,
    json: bool,
    output: Path | None,
) -> None:
    """Measure every set of a folder and print one line per set and method, and their means.

    Parameters
    ----------
    folder : Path
    model : (str, str, int or None)
        Name, device and input size.
    every, baseline, kind, limit, json, output
        The options of the command.
    """
    from tqdm import tqdm

    from napari_sam2.tracking import load_model

    pairs = find_pairs(folder, limit=limit)
    loaded = load_model(model[0], device=model[1], image_size=model[2])
    rows: list[tuple[str, AutomaticScore]] = []
    done = 0
    with soft_interrupt() as interrupt, tqdm(total=len(pairs), unit="stack", disable=None) as bar:
        for group, members in groupby(pairs, key=lambda pair: pair.group):
            stacks: Sequence[LabelledPair] = list(members)
            found = evaluate_automatic(
                stacks,
                loaded,
                every=every,
                kind=kind,
                progress=bar.set_description,
                cancelled=interrupt.requested,
            )
            bar.update(len(found))
            done += len(found)
            if not found:
                break
            rows.append((loaded.name, AutomaticScore.mean(group, found)))
            if baseline:
                beside = evaluate_watershed(stacks[: len(found)])
                rows.append(("watershed", AutomaticScore.mean(group, beside)))
    report = _as_json(rows, done == len(pairs))
    typer.echo(report if json else "\n".join(_table(rows)))
    if output is not None:
        write_report(output, report, EvaluationError)
    if done < len(pairs):
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def _as_json(rows: Sequence[tuple[str, AutomaticScore]], complete: bool) -> str:
    sets = [{"method": method, **asdict(score)} for method, score in rows]
    return json_text.dumps({"complete": complete, "sets": sets}, indent=2)


def _table(rows: Sequence[tuple[str, AutomaticScore]]) -> list[str]:
    body = [_cells(method, score) for method, score in rows]
    for method in dict.fromkeys(method for method, _ in rows):
        scores = [score for name, score in rows if name == method]
        body.append(_cells(method, AutomaticScore.mean("mean over sets", scores)))
    lines = table_lines(_TITLES, body, left=2)
    if any(score.first_channel for _, score in rows):
        lines += ["", FIRST_CHANNEL]
    return lines


def _cells(method: str, score: AutomaticScore) -> list[str]:
    accuracy = (score.msa, score.sa50, score.precision, score.recall)
    through = ["" if each is None else f"{each:.2f}" for each in (score.kept, score.stack_f1)]
    figures = [f"{value:.3f}" for value in accuracy]
    return [score.name, method, str(score.objects), *figures, f"{score.seconds:.2f}", *through]
