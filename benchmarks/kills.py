"""Kill running propagations at random moments, go on, and compare with an unbroken run.

Each trial is a process of its own that ends by SIGKILL. Three kinds: ``session``, a script with
`TrackingSession(store=...)`; ``command``, ``napari-sam2 segment`` and ``segment --resume``; and
``window``, napari with the panel, in which *Resume* and then the propagation are pressed after each
kill. Command and window work on a stack and on volumes over time.

Of sessions and windows it is also measured how much is lost: how long before the kill a frame was
done that is not there afterwards. A resumed window must show, of every frame and object, labels and
scores that the killed one has shown in its last two seconds, and nothing else.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/kills.py
    ... --times 200 --seed 0              # kills of all kinds together (these are the defaults)
    ... --kind window --times 10

Only for systems with fork: the model is loaded once, and each process begins with it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

# Before napari is imported: the defaults, whatever is set on this machine.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")

import numpy as np
import tifffile
import torch

from napari_sam2 import Model, TrackingSession, load_model
from napari_sam2.cli import main as command
from napari_sam2.samples import nuclei_stack

_EVENT = struct.Struct("<iid")  # object, frame, time
_PATIENCE_S = 600.0
_MAY_BE_LOST_S = 2.0
_LOOK_S = 0.02
_KINDS = {  # of runs, and the share of each in all kills
    "session": 0.2,
    "command": 0.15,
    "command, volumes": 0.15,
    "window": 0.35,
    "window, volumes": 0.15,
}


@dataclass
class Tally:
    """Kills of one kind of run."""

    runs: int = 0
    kills: int = 0
    different: int = 0
    wrong: int = 0
    lost_seconds: list[float] = field(default_factory=list)

    def failures(self, may_be_lost: float) -> int:
        """Kills after which more than so many seconds were lost, or something was different."""
        return self.different + self.wrong + sum(each > may_be_lost for each in self.lost_seconds)

    def __str__(self) -> str:
        lost = f", at most {max(self.lost_seconds):.2f} s lost" if self.lost_seconds else ""
        wrong = f", {self.wrong} resumed with something else" if self.wrong else ""
        return (
            f"{self.kills} kills in {self.runs} runs, {self.different} different at the end"
            f"{lost}{wrong}"
        )


def in_child(work: Callable[[], None], said: Path = Path(os.devnull)) -> int:
    """Do work in a process of its own, which says what it has to say to a file; return its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        work()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        os._exit(code)


def killed(child: int, after: float) -> bool:
    """Kill a process after some seconds; return False if it had come to its end by itself."""
    end = time.monotonic() + after
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def script(model: Model, stack: np.ndarray, store: Path, pipe: int, output: Path) -> None:
    """Propagate with a store, and report every frame."""
    session = TrackingSession(model, stack, store=store)
    for object_id, point in ((1, (30, 30)), (2, (60, 70))):
        if session.prompts.get(object_id, 2 * object_id) is None:
            session.add_points(object_id, 2 * object_id, [point])
    for result in session.propagate():
        for object_id in result.object_ids:
            os.write(pipe, _EVENT.pack(object_id, result.frame, time.monotonic()))
    np.save(output, session.labels)
    session.close()


def kept_frames(store: Path) -> set[tuple[int, int]]:
    """Return the objects of a store and the frames in which they are up to date."""
    from napari_sam2.labels.store.journal import read_commits
    from napari_sam2.tracking.state.stored_state import _from_bits

    commits = read_commits(store)
    if not commits:
        return set()
    n_frames, kept = commits[0]["shape"][0], set()
    for each in commits[0]["state"]["objects"]:
        done = np.flatnonzero(_from_bits(each["done"], n_frames)).tolist()
        decided = [frame for frame, _ in each["decided"]]
        kept |= {(each["object"], frame) for frame in (*done, *decided)}
    return kept


def kill_scripts(model: Model, stack: np.ndarray, folder: Path, times: int, chance: random.Random):
    """Kill scripts with a session until that many kills."""
    tally, truth, sink = Tally(), folder / "truth.npy", os.open(os.devnull, os.O_WRONLY)
    begun = time.monotonic()
    os.waitpid(in_child(lambda: script(model, stack, folder / "t.sam2.zarr", sink, truth)), 0)
    whole = time.monotonic() - begun
    while tally.kills < times:
        store, output = folder / f"{tally.runs}.sam2.zarr", folder / f"{tally.runs}.npy"
        while not output.exists():
            read, write = os.pipe()
            child = in_child(lambda: script(model, stack, store, write, output))  # noqa: B023
            os.close(write)
            died = killed(child, chance.uniform(0, whole))
            at = time.monotonic()
            events = list(_EVENT.iter_unpack(_all_of(read)))
            tally.kills += died
            if died:
                kept = kept_frames(store)
                gone = [when for *pair, when in events if tuple(pair) not in kept]
                tally.lost_seconds.append(at - min(gone) if gone else 0.0)
        tally.different += not np.array_equal(np.load(truth), np.load(output))
        tally.runs += 1
        progress(tally)
        shutil.rmtree(store, ignore_errors=True)
        output.unlink()
    return tally


def kill_commands(given: list[str], folder: Path, times: int, chance: random.Random) -> Tally:
    """Kill commands until that many kills."""
    tally, truth = Tally(), folder / "truth.tif"
    begun = time.monotonic()
    os.waitpid(in_child(lambda: command(["segment", *given, "-o", str(truth)])), 0)
    whole = time.monotonic() - begun
    said = folder / "said.txt"
    while tally.kills < times:
        output = folder / f"{tally.runs}.tif"
        while True:
            arguments = ["segment", *given, "-o", str(output), "--resume"]
            child = in_child(lambda: command(arguments), said)  # noqa: B023
            if not killed(child, chance.uniform(0, whole)):
                break
            tally.kills += 1
        same = output.exists() and output.read_bytes() == truth.read_bytes()
        tally.different += not same
        tally.runs += 1
        progress(tally)
        if not same:
            sys.stderr.write(f"{said.read_text()}\n{_differences(output, truth)}\n")
        output.unlink(missing_ok=True)
    return tally


def _differences(output: Path, truth: Path) -> str:
    if not output.exists():
        return "There is no output."
    import tifffile

    ours, true = tifffile.imread(output), tifffile.imread(truth)
    if ours.shape != true.shape:
        return f"Its shape is {ours.shape}, not {true.shape}."
    frames = np.flatnonzero((ours != true).any(axis=tuple(range(1, ours.ndim)))).tolist()
    return f"{int((ours != true).sum())} pixels differ, in frames {frames}."


def window(image: Path, axis: int, through: bool, pipe: int, output: Path) -> None:
    """Open a window on an image, resume what there is, propagate, and report what is seen."""
    from qtpy.QtWidgets import QApplication

    from napari_sam2.widgets.state.session_spec import Through

    def wait(done: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("The window took too long.")
            QApplication.processEvents()
            report()
            time.sleep(0.002)

    sight: dict[str, object] = {}
    looked = 0.0

    def report() -> None:
        nonlocal looked
        if time.monotonic() - looked < _LOOK_S:
            return
        looked = time.monotonic()
        changed = {key: value for key, value in seen(panel).items() if sight.get(key) != value}
        if changed:
            sight.update(changed)
            say({"at": time.monotonic(), "seen": changed})

    def say(event: dict[str, object]) -> None:
        os.write(pipe, json.dumps(event).encode() + b"\n")

    viewer, panel = shown(image)
    wait(lambda: len(panel.settings.device.choices) > 1 and panel.controller.idle)
    panel.settings.axis.value = axis  # has earlier work looked for again
    rest = time.monotonic() + 0.05  # what was found is told
    wait(lambda: panel.controller.idle and time.monotonic() > rest)
    if not panel.offer.isHidden():
        panel.offer.resume.click()
        wait(lambda: panel.controller.idle)
    if panel.controller.workspace is None:
        viewer.dims.set_current_step(0, 0)
        panel.start.click()
        wait(lambda: panel.controller.idle)
    say({"resumed": seen(panel), "at": time.monotonic()})
    for number, place in ((1, (30, 30)), (2, (60, 70))):
        points = panel.controller.workspace.points
        if number not in points.features["object"].tolist():
            panel.settings.object_id.value = number
            points.add([*(0,) * axis, number, *place])
            wait(lambda: panel.controller.idle)
    if through:
        viewer.dims.set_current_step(0, 0)
        panel.settings.then.value = Through(0, 1)
    panel.run.both.click()
    wait(lambda: not panel.controller.running and panel.controller.idle)
    rest = time.monotonic() + 2 * _LOOK_S
    wait(lambda: time.monotonic() > rest)
    np.save(output.with_suffix(".part.npy"), panel.controller.workspace.labels.data)
    output.with_suffix(".part.npy").replace(output)


def shown(image: Path):
    """Open a window on an image, with the panel."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(800, 600)
    viewer.open(str(image), plugin="napari", contrast_limits=(0, 3000), name="cells")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "SAM 2: segment stack")
    return viewer, panel


def seen(panel) -> dict[str, object]:
    """Return the labels of each frame that has any, as a checksum, and the scores beside them."""
    workspace = panel.controller.workspace
    if workspace is None:
        return {}
    found: dict[str, object] = {}
    for index in np.ndindex(workspace.labels.data.shape[:-2]):
        plane = np.asarray(workspace.labels.data[index])
        if plane.any():
            found[f"labels {index}"] = zlib.crc32(plane.tobytes())
    for position, records in panel.controller.annotation.object_records.by_position().items():
        for each in records:
            if each.area:
                key = f"score {position} {each.frame} {each.object_id}"
                found[key] = [each.area, each.score]
    return found


def kill_windows(image: Path, axis: int, through: bool, times: int, chance: random.Random) -> Tally:
    """Kill windows until that many kills."""
    tally = Tally()
    folder = Path(tempfile.mkdtemp(dir=image.parent))
    truth, sink = folder / "truth.npy", folder / "sink"
    with sink.open("wb") as file:
        beside = folder / f"truth{image.suffix}"
        shutil.copy(image, beside)
        work = partial(window, beside, axis, through, file.fileno(), truth)
        if os.waitpid(in_child(work), 0)[1]:
            raise RuntimeError("The unbroken run of the window failed.")
    events = [json.loads(line) for line in sink.read_bytes().splitlines()]
    begun = next(event["at"] for event in events if "resumed" in event)
    whole, truly = events[-1]["at"] - begun, events
    while tally.kills < times:
        copied, output = folder / f"{tally.runs}{image.suffix}", folder / f"{tally.runs}.npy"
        shutil.copy(image, copied)
        former: tuple[list[dict], float] | None = None
        while not output.exists():
            read, write = os.pipe()
            child = in_child(partial(window, copied, axis, through, write, output))
            os.close(write)
            fresh = not copied.with_suffix(".sam2.json").exists()
            lines, died, at = watched(read, child, chance.uniform(0, whole))
            events = [json.loads(line) for line in lines]
            resumed = [event["resumed"] for event in events if "resumed" in event]
            if former is not None and resumed:
                lost, wrong = compare(*former, resumed[0], truly)
                tally.lost_seconds.append(max(lost.values(), default=0.0))
                tally.wrong += bool(wrong)
                for key in sorted(key for key in lost if lost[key] > _MAY_BE_LOST_S) + wrong:
                    sys.stderr.write(f"  {key}: {lost.get(key, 'wrong')}\n")
            tally.kills += died
            former = (events, at) if died else None
            if fresh and not died:  # the machine may be busier or idler than it was
                whole = at - next(event["at"] for event in events if "resumed" in event)
            if not died and not output.exists():
                raise RuntimeError(f"A window ended by an error: see {copied}.")
            progress(tally)
        tally.different += not np.array_equal(np.load(truth), np.load(output))
        tally.runs += 1
        progress(tally)
    return tally


def watched(read: int, child: int, after: float) -> tuple[list[bytes], bool, float]:
    """Read what a window reports; kill it some seconds after it has shown what it resumed.

    Returns
    -------
    list of bytes, bool, float
        Whole lines; whether it was killed; when it was, or had ended.
    """
    os.set_blocking(read, False)
    data, kill_at, died = b"", float("inf"), False
    end = time.monotonic() + _PATIENCE_S
    while not os.waitpid(child, os.WNOHANG)[0]:
        try:
            data += os.read(read, 1 << 16)
        except BlockingIOError:
            time.sleep(0.002)
        now = time.monotonic()
        if kill_at == float("inf") and b'"resumed"' in data:
            kill_at = now + after
        if now > min(kill_at, end):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            died = True
            break
    at = time.monotonic()
    os.set_blocking(read, True)
    with os.fdopen(read, "rb") as rest:
        data += rest.read()
    return data[: data.rfind(b"\n") + 1].splitlines(), died, at


def compare(
    events: list[dict], killed_at: float, resumed: dict[str, object], truth: list[dict]
) -> tuple[dict[str, float], list[str]]:
    """Compare a resumed window with what a killed one had shown.

    Returns
    -------
    dict of str to float, list of str
        What was shown and is not there, and how long before the kill it was shown; what is there
        although the killed window never showed it, and the unbroken one does not show it either.
    """
    histories: dict[str, list[tuple[float, object]]] = {}
    for event in events:
        for key, value in (event.get("seen") or event.get("resumed") or {}).items():
            histories.setdefault(key, []).append((event["at"], value))
    known: dict[str, list[object]] = {}
    for event in truth:
        for key, value in event.get("seen", {}).items():
            known.setdefault(key, []).append(value)
    lost: dict[str, float] = {}
    wrong: list[str] = []
    for key in histories.keys() | resumed.keys():
        history, now = histories.get(key, []), resumed.get(key)
        values = [value for _, value in history]
        if now in values:
            newest = len(values) - values[::-1].index(now)
            if newest < len(history):
                lost[key] = killed_at - history[newest][0]
        elif now is None:
            lost[key] = killed_at - history[0][0]
        elif now not in known.get(key, []):  # else it came between the last look and the kill
            wrong.append(key)
    return lost, wrong


def progress(tally: Tally) -> None:
    """Write what is done so far, which a stopped benchmark leaves behind."""
    sys.stderr.write(f"{tally}\n")
    sys.stderr.flush()


def _all_of(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as file:
        data = file.read()
    return data[: len(data) // _EVENT.size * _EVENT.size]


def main() -> None:
    """Kill processes and print a table; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200, help="kills of all kinds together")
    parser.add_argument("--kind", choices=_KINDS, help="kill runs of this kind only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument(
        "--may-be-lost", type=float, default=_MAY_BE_LOST_S, help="seconds; more is a failure"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    chance, model = random.Random(given.seed), load_model(device="cpu")
    image = nuclei_stack(shape=(given.frames, 128, 128)).image
    folder = Path(tempfile.mkdtemp(prefix="napari-sam2-kills-"))
    prompts, stack, movie = folder / "p.csv", folder / "stack.tif", folder / "movie.tif"
    prompts.write_text("frame,object,kind,y,x\n2,1,point,30,30\n4,2,point,60,70\n", "utf-8")
    tifffile.imwrite(stack, image, metadata={"axes": "ZYX"})
    volumes = np.stack([image[: given.frames // 2]] * 3)
    tifffile.imwrite(movie, volumes, metadata={"axes": "TZYX"}, imagej=False, ome=False)
    one, many = [str(stack), "-p", str(prompts)], [str(movie), "-p", str(prompts)]
    many += ["--axis", "Z", "--through", "T"]
    kills: dict[str, Callable[[int, random.Random], Tally]] = {
        "session": partial(kill_scripts, model, image, folder),
        "command": partial(kill_commands, one, folder),
        "command, volumes": partial(kill_commands, many, folder),
        "window": partial(kill_windows, stack, 0, False),
        "window, volumes": partial(kill_windows, movie, 1, True),
    }
    kinds = [given.kind] if given.kind else list(_KINDS)
    if any("window" in kind for kind in kinds):
        # Once, and not in each process: what a window needs, as far as it may be forked.
        for name in ("napari.window", "napari_sam2.widgets.stack_panel"):
            import_module(name)
    failures = 0
    for kind in kinds:
        times = given.times if given.kind else max(1, round(given.times * _KINDS[kind]))
        tally = kills[kind](times, chance)
        failures += tally.failures(given.may_be_lost)
        sys.stdout.write(f"{kind}: {tally}\n")
        sys.stdout.flush()
    shutil.rmtree(folder)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
