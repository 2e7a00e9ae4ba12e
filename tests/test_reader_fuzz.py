"""Every reader of files from outside succeeds or raises a `Sam2Error`, soon and with little memory.

Files are valid ones with bytes or values exchanged. Two seconds of processor time and 500 MB of
address space are the limits of each: a busy machine is no failure, and a flood ends at once.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import signal
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_masks import known_masks
from small_networks import SMALL_CONV, small_config

from napari_sam2.checkpoints import load_network, save_network
from napari_sam2.checkpoints.provenance import TrustRecord, Voucher, read_record, write_record
from napari_sam2.errors import Sam2Error
from napari_sam2.network import Sam2
from napari_sam2.prompts import (
    MaskStore,
    PromptBook,
    SessionFile,
    read_prompts,
    read_session,
    read_sessions,
    write_sessions,
)
from napari_sam2.stack import FrameStack, open_stack
from napari_sam2.tracking import Model, TrackingSession
from napari_sam2.training import Recipe, RunIdentity, TrainingState, claim_folder, read_records
from napari_sam2.training.run.journal import append_record, rewind
from napari_sam2.training.run.state import load_average, saved_step
from napari_sam2.types import ObjectFrame, Region

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits of address space are Linux's"
)

SECONDS, BYTES = 2.0, 500_000_000
SHAPE = (3, 12, 10)


def examples(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )


@contextmanager
def bounded() -> Iterator[None]:
    """Let the body succeed or raise a `Sam2Error` within the limits."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + BYTES
    former = signal.signal(signal.SIGPROF, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with suppress(Sam2Error):
            yield
    except _TooLong as error:
        raise AssertionError(f"it takes longer than {SECONDS:g} s") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGPROF, former)


class _TooLong(BaseException):
    """Two seconds of the processor have passed; no reader may take it for an error of the file."""


def _too_long(number: int, frame: object) -> None:
    raise _TooLong


@contextmanager
def file_of(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield path


PIECES = st.one_of(
    st.binary(min_size=0, max_size=12),
    st.sampled_from(
        [
            b"9" * 5000,
            b"[" * 5000,
            b"(" * 5000,
            b'{"a":' * 3000,
            *(b"NaN", b"Infinity", b"1e999", b"-1", b"0", b"null", b"true", b"{}", b"[]", b'""'),
            *(b"\xff\xfe", b"\0\0\0\0", b"\xff" * 8, b"\n", b",", b"99999999999", b"'", b'"'),
        ]
    ),
)


@st.composite
def damaged(draw: Any, valid: bytes, first: int | None = None) -> bytes:
    """Exchange, insert and remove bytes, mostly among the first; perhaps cut the end off."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, min(first or len(content), len(content))))
        length = draw(st.integers(0, 12))
        content[at : at + length] = draw(PIECES)
    if draw(st.booleans()) and draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


ODD = [2**31, 2**63, 10**400, -(10**400), 1e308, -1.5, 0.0, float("nan"), float("inf")]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.text(max_size=4),
    st.sampled_from(ODD),
    st.sampled_from(["@LONG@", "@DEEP@", "", "a", [], {}, [0] * 5, [[1]], [None], {"a": 1}]),
    st.lists(st.sampled_from([*ODD, "a", None, 0, 1, 90_000]), max_size=4),
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All places of a JSON document that hold a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@st.composite
def altered(draw: Any, document: Any) -> bytes:
    """Exchange values of a JSON document."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        where = list(places(document))
        if where:
            holder, key = where[draw(st.integers(0, len(where) - 1))]
            holder[key] = copy.deepcopy(draw(VALUES))
    text = json.dumps(document)
    text = text.replace('"@LONG@"', "9" * 5000).replace("@LONG@", "9" * 5000)
    return text.replace('"@DEEP@"', "[" * 3000 + "]" * 3000).encode()


def content_of(name: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


@cache
def session_bytes(stacks: int = 1) -> bytes:
    book = PromptBook(SHAPE)
    book.add_points(1, 0, [(1, 2), (3, 4)], [True, False])
    book.add_box(1, 0, (0, 0, 5, 5))
    book.add_mask(2, 1, np.eye(12, 10, dtype=bool))
    saved = SessionFile(
        book=book,
        accepted=((2, 2),),
        accepted_masks=MaskStore({ObjectFrame(2, 2): np.eye(12, 10, dtype=bool)}.items()),
        settings={"model": "bundled", "channels": "0,1", "channel_axis": 1, "max_hole": 8},
        contrast=((0.0, 255.0),),
        axis=0,
        at={1: 2},
        region=Region(0, 0, 12, 10),
        names={1: "cell"},
        results=MaskStore({ObjectFrame(1, 0): np.zeros((12, 10), bool)}.items()),
    )
    several = [replace(saved, at={1: 2 + number}) for number in range(stacks)]
    return content_of("a.sam2.json", lambda path: write_sessions(several, path))


def read_all_ways(path: Path) -> None:
    for options in ({}, {"image": (4, 12, 10)}, {"shape": (9, 12, 10)}, {"shape": (2, 5, 5)}):
        with suppress(Sam2Error):
            saved = read_session(path, **options)  # type: ignore[arg-type]
            _ = saved.channels, saved.elsewhere(), list(saved.accepted_masks)
    for image in (None, (4, 12, 10)):
        with suppress(Sam2Error):
            read_sessions(path, image=image)


@examples(80)
@given(
    content=st.one_of(
        damaged(session_bytes()),
        altered(json.loads(session_bytes())),
        altered(json.loads(session_bytes(stacks=2))),
    )
)
def test_session_files(content: bytes) -> None:
    with file_of("a.sam2.json", content) as path, bounded():
        read_all_ways(path)


STACK = np.random.default_rng(0).normal(size=(4, 24, 28)).astype(np.float32)


@cache
def tiny_model() -> Model:
    return Model(known_masks(), "tiny", torch.device("cpu"), 64)


@cache
def store_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        session = TrackingSession(tiny_model(), STACK, store=folder)
        session.add_points(1, 1, [(12, 12)])
        session.add_box(2, 2, (3, 4, 11, 15))
        session.accept(2, 2)
        session.add_division(1, [2], 2)
        list(session.propagate())
        session.close()
        files = [each for each in Path(folder).rglob("*") if each.is_file()]
        return {str(each.relative_to(folder)): each.read_bytes() for each in files}


def newest_commit() -> dict[str, Any]:
    commits = [data for name, data in store_files().items() if name.startswith("commit-")]
    return max((json.loads(data.split(b"\n", 1)[1]) for data in commits), key=lambda c: c["number"])


@examples(60)
@given(body=st.deferred(lambda: altered(newest_commit())))
def test_stores_of_results(body: bytes) -> None:
    """Its checksum is right: someone has made it so."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in store_files().items():
            if not name.startswith("commit-"):
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        head = b"napari-sam2 results 1 " + hashlib.sha256(body).hexdigest().encode()
        Path(folder, "commit-0").write_bytes(head + b"\n" + body)
        with bounded(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            TrackingSession(tiny_model(), STACK, store=folder).close()


TABLE = b"""frame,object,kind,y,x,y2,x2,positive
0,1,point,1,2,,,true
0,1,box,1,1,5,6,
2,7,point,3.5,4,,,false
"""


@examples(80)
@given(content=damaged(TABLE))
def test_tables_of_prompts(content: bytes) -> None:
    with file_of("a.csv", content) as path, bounded():
        read_prompts(path, SHAPE)


@cache
def small_network() -> Sam2:
    return Sam2(small_config(SMALL_CONV))


@cache
def model_bytes() -> bytes:
    return content_of("a.safetensors", lambda path: save_network(small_network(), path))


def header() -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", model_bytes()[:8])
    return json.loads(model_bytes()[8 : 8 + length]), model_bytes()[8 + length :]


@st.composite
def altered_models(draw: Any) -> bytes:
    described, values = header()
    if draw(st.booleans()):
        config = json.loads(described["__metadata__"]["config"])
        described["__metadata__"]["config"] = draw(altered(config)).decode()
        encoded = json.dumps(described).encode()
    else:
        encoded = draw(altered(described))
    return struct.pack("<Q", len(encoded)) + encoded + values


@examples(60)
@given(content=st.one_of(damaged(model_bytes(), first=3000), altered_models()))
def test_safetensors_files(content: bytes) -> None:
    with file_of("a.safetensors", content) as path, bounded():
        load_network(path)


@cache
def torch_bytes(zipped: bool) -> bytes:
    content = {"model": {"a.weight": torch.ones(2, 3), "b": torch.ones(1)}}
    return content_of(
        "a.pt",
        lambda path: torch.save(content, path, _use_new_zipfile_serialization=zipped),
    )


@examples(60)
@given(content=st.one_of(damaged(torch_bytes(True)), damaged(torch_bytes(False))))
def test_torch_files(content: bytes) -> None:
    with file_of("a.pt", content) as path, bounded():
        load_network(path)


@cache
def trust_bytes() -> bytes:
    record = TrustRecord("0" * 64, 5, Voucher.USER, "https://localhost/a.pt", "2026-01-01")
    return content_of("a.pt.trust.json", lambda path: write_record(path.with_name("a.pt"), record))


@examples(40)
@given(content=st.one_of(damaged(trust_bytes()), altered(json.loads(trust_bytes()))))
def test_records_of_downloads(content: bytes) -> None:
    with file_of("a.pt.trust.json", content) as path, bounded():
        read_record(path.with_name("a.pt"))


@cache
def npy_bytes() -> bytes:
    return content_of("a.npy", lambda path: np.save(path, np.zeros(SHAPE, np.uint16)))


@cache
def tiff_bytes() -> bytes:
    return content_of(
        "a.tif",
        lambda path: tifffile.imwrite(
            path, np.zeros(SHAPE, np.uint16), imagej=True, metadata={"axes": "ZYX", "spacing": 2.0}
        ),
    )


def read_stack(path: Path) -> None:
    with open_stack(path) as opened:
        FrameStack(opened.data).read(0)


@pytest.mark.filterwarnings("ignore")
@examples(80)
@given(content=damaged(npy_bytes(), first=140))
def test_npy_files(content: bytes) -> None:
    with file_of("a.npy", content) as path, bounded():
        read_stack(path)


@pytest.mark.filterwarnings("ignore")
@examples(60)
@given(content=damaged(tiff_bytes(), first=600))
def test_tiff_files(content: bytes) -> None:
    with file_of("a.tif", content) as path, bounded():
        read_stack(path)


@cache
def zarr_documents() -> tuple[bytes, bytes]:
    """Metadata of an OME-Zarr group and of the array in it."""
    with tempfile.TemporaryDirectory() as folder:
        group = zarr.create_group(Path(folder) / "a.zarr")
        group.create_array("0", shape=SHAPE, chunks=(1, 12, 10), dtype="u2")
        axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
        level = {
            "path": "0",
            "coordinateTransformations": [{"type": "scale", "scale": [2.0, 0.5, 0.5]}],
        }
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [{"axes": axes, "datasets": [level]}],
        }
        root = Path(folder) / "a.zarr"
        return (root / "zarr.json").read_bytes(), (root / "0" / "zarr.json").read_bytes()


@pytest.mark.filterwarnings("ignore")
@examples(80)
@given(
    group=st.one_of(
        st.just(zarr_documents()[0]),
        damaged(zarr_documents()[0]),
        altered(json.loads(zarr_documents()[0])),
    ),
    array=st.one_of(
        st.just(zarr_documents()[1]),
        damaged(zarr_documents()[1]),
        altered(json.loads(zarr_documents()[1])),
    ),
)
def test_zarr_metadata(group: bytes, array: bytes) -> None:
    with file_of("a.zarr/zarr.json", group) as path:
        (path.parent / "0").mkdir()
        (path.parent / "0" / "zarr.json").write_bytes(array)
        for folder in (path.parent, path.parent / "0"):
            with bounded():
                read_stack(folder)


IDENTITY = RunIdentity("bundled", "0" * 64, "0" * 64, "all", 256, 128, 2, 3, 5e-4, 0)


@cache
def run_bytes() -> tuple[bytes, bytes]:
    """``run.json`` and the log of a run."""
    with tempfile.TemporaryDirectory() as folder:
        claim_folder(Path(folder) / "run", IDENTITY)
        log = Path(folder) / "log"
        append_record(log, {"step": 0, "held_out_click": 0.5, "held_out_box": 0.6})
        append_record(log, {"step": 1, "phase": "one", "loss": 0.25})
        return (Path(folder) / "run" / "run.json").read_bytes(), log.read_bytes()


@examples(60)
@given(content=st.one_of(damaged(run_bytes()[0]), altered(json.loads(run_bytes()[0]))))
def test_identities_of_runs(content: bytes) -> None:
    with file_of("run/run.json", content) as path, bounded():
        claim_folder(path.parent, IDENTITY)


@examples(60)
@given(
    content=st.one_of(
        damaged(run_bytes()[1]),
        altered(json.loads(run_bytes()[1].splitlines()[0])).map(lambda line: line + b"\n"),
    )
)
def test_logs_of_runs(content: bytes) -> None:
    with file_of("journal.jsonl", content) as path:
        for step in (1, 0):
            with bounded():
                read_records(path)
                rewind(path, step)


@cache
def state_bytes() -> bytes:
    state = TrainingState.create(copy.deepcopy(small_network()), Recipe(phases=()))
    return content_of("state.pt", state.save)


@examples(15)
@given(content=damaged(state_bytes()))
def test_states_of_runs(content: bytes) -> None:
    state = TrainingState.create(copy.deepcopy(small_network()), Recipe(phases=()))
    with file_of("state.pt", content) as path:
        for read in (saved_step, state.load, lambda path: load_average(path, state.average)):
            with bounded():
                read(path)


def test_the_limits_catch_what_breaks_them() -> None:
    with pytest.raises(MemoryError), bounded():
        bytearray(2 * BYTES)
    with pytest.raises(AssertionError, match="longer than 2 s"), bounded():
        sum(1 for _ in itertools.repeat(None))
