"""What has become of many stacks, as lines of text and as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from napari_sam2._text_table import table_lines
from napari_sam2.batch.plan import BatchPlan
from napari_sam2.batch.run import BatchResult, known_status
from napari_sam2.batch.status import StackState, StackStatus
from napari_sam2.errors import Sam2Error

_LONGEST_REASON = 100


def describe_result(result: BatchResult) -> str:
    """Return a table of all stacks, and a line that counts them."""
    rows = [_row(status) for status in result.statuses]
    titles = ("stack", "state", "objects", "frames", "seconds", "why")
    lines = table_lines(titles, rows, left=2)
    return "\n".join([*lines, _counts(result)])


def describe_end(status: StackStatus) -> str:
    """Return the line that is printed when a stack has ended."""
    match status.state:
        case StackState.DONE:
            rate = status.frame_results / status.seconds if status.seconds else 0.0
            pace = f", {rate:.1f} frames/s" if rate else ""
            return (
                f"{status.name}: done, {status.objects} objects in {status.frames} frames, "
                f"{status.seconds:.1f} s{pace}"
            )
        case StackState.FAILED:
            return f"{status.name}: failed: {_reason(status)}"
        case StackState.ELSEWHERE:
            return f"{status.name}: {_reason(status)}"
    return f"{status.name}: {status.state}"


def describe_plan(plan: BatchPlan) -> str:
    """Return a table of the plan for each stack."""
    rows = []
    for task in plan.tasks:
        status = known_status(task)
        trouble = task.trouble()
        state = "done already" if status.state is StackState.DONE else "to do"
        prompts = "found by itself" if task.prompts is None else task.prompts.name
        why = "" if trouble is None else str(trouble)
        rows.append((task.name, state if trouble is None else "would fail", prompts, why))
    return "\n".join(table_lines(("stack", "state", "prompts", "why"), rows, left=4))


def plan_values(plan: BatchPlan) -> list[dict[str, Any]]:
    """Return the same as JSON values."""
    return [
        {
            "name": task.name,
            "stack": str(task.stack),
            "prompts": None if task.prompts is None else str(task.prompts),
            "labels": str(task.labels),
            "state": str(known_status(task).state),
            "trouble": _text(task.trouble()),
        }
        for task in plan.tasks
    ]


def result_values(result: BatchResult) -> dict[str, Any]:
    """Return the result as JSON values."""
    return {
        "stacks": [asdict(status) for status in result.statuses],
        "counts": {str(state): len(result.of(state)) for state in StackState},
        "seconds": result.seconds,
        "stopped": result.stopped,
        "error": _text(result.error),
    }


def _row(status: StackStatus) -> tuple[str, ...]:
    done = status.state is StackState.DONE
    return (
        status.name,
        str(status.state),
        str(status.objects) if done else "",
        str(status.frames) if done else "",
        f"{status.seconds:.1f}" if done else "",
        _reason(status),
    )


def _reason(status: StackStatus) -> str:
    if status.error is not None:
        tried = f" ({status.attempts} attempts)" if status.attempts > 1 else ""
        return _short(status.error.message) + tried
    if status.state is StackState.ELSEWHERE:
        return " ".join(status.notes)
    if status.state is StackState.DONE and not status.objects:
        return "no object was found"
    return f"{status.skipped} frames skipped" if status.skipped else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def _counts(result: BatchResult) -> str:
    counted = [f"{len(found)} {state}" for state in StackState if (found := result.of(state))]
    return f"{', '.join(counted)} of {len(result.statuses)} stacks in {result.seconds:.1f} s"


def _text(error: Sam2Error | None) -> str | None:
    return None if error is None else str(error)
