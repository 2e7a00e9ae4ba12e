from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import pytest

from napari_sam2.checkpoints import (
    BUNDLED,
    DownloadCancelledError,
    ModelInfo,
    TransferPolicy,
    download_model,
    get_model_info,
    registry,
)
from napari_sam2.checkpoints.download import fetch_model
from napari_sam2.checkpoints.provenance import Voucher, read_record
from napari_sam2.errors import CheckpointError, DownloadError

OTHER_HASH = "0" * 64


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_file_lands_verified_in_the_cache_folder(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    path = fetch_model(info, policy=policy)
    assert path == cache / "test.pt"
    assert path.read_bytes() == server.content
    assert names(cache) == {"test.pt", "test.pt.trust.json"}
    record = read_record(path)
    assert record is not None
    assert (record.sha256, record.voucher) == (info.sha256, Voucher.REGISTRY)


def test_file_that_is_there_is_not_fetched_again(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    cache.mkdir()
    (cache / "test.pt").write_bytes(b"put here by hand")
    assert fetch_model(info, policy=policy).read_bytes() == b"put here by hand"
    assert server.requests == 0


def test_name_folder_and_mirror(
    info: ModelInfo,
    server: Any,
    tmp_path: Path,
    policy: TransferPolicy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "MODELS", (replace(info, url="http://127.0.0.1:9/test.pt"),))
    path = download_model(
        "test", folder=tmp_path / "a" / "b", base_url=server.url + "/", policy=policy
    )
    assert path == tmp_path / "a" / "b" / "test.pt"
    assert path.read_bytes() == server.content


def test_wrong_hash_is_set_aside_until_it_is_allowed(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    listed = replace(info, sha256=OTHER_HASH)
    with pytest.raises(DownloadError, match="--allow-unknown-hash") as caught:
        fetch_model(listed, policy=policy)
    assert OTHER_HASH in str(caught.value)
    assert hashlib.sha256(server.content).hexdigest() in str(caught.value)
    assert names(cache) == {"test.pt.unverified"}

    path = fetch_model(listed, policy=policy, allow_unknown_hash=True)
    assert path.read_bytes() == server.content
    assert server.requests == 1
    assert names(cache) == {"test.pt", "test.pt.trust.json"}
    record = read_record(path)
    assert record is not None
    assert record.voucher is Voucher.USER

    path.unlink()
    assert fetch_model(listed, policy=policy) == path, "the decision is remembered"
    assert server.requests == 2


def test_trust_in_one_file_is_no_trust_in_the_next(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    listed = replace(info, sha256=OTHER_HASH)
    fetch_model(listed, policy=policy, allow_unknown_hash=True).unlink()
    server.content = server.content[::-1]
    with pytest.raises(DownloadError, match="not the file that is listed"):
        fetch_model(listed, policy=policy)
    assert not (cache / "test.pt").exists()


def test_damage_on_the_way_is_cured_by_another_download(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    good, server.content = server.content, server.content[::-1]
    with pytest.raises(DownloadError, match="not the file that is listed"):
        fetch_model(info, policy=policy)
    server.content = good
    assert fetch_model(info, policy=policy).read_bytes() == good
    assert names(cache) == {"test.pt", "test.pt.trust.json"}


def test_part_of_another_file_is_noticed_by_its_hash(
    info: ModelInfo, cache: Path, policy: TransferPolicy
) -> None:
    cache.mkdir()
    (cache / "test.pt.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="not the file that is listed"):
        fetch_model(info, policy=policy)
    fetch_model(info, policy=policy)
    assert (cache / "test.pt").is_file()


def test_wrong_size_is_named(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    server.content = server.content[:1000]
    with pytest.raises(DownloadError, match="1000 bytes where 200000 were expected"):
        fetch_model(info, policy=policy)
    assert not (cache / "test.pt").exists()


def test_wrong_size_without_a_listed_hash(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    server.content = server.content[:1000]
    with pytest.raises(DownloadError, match="listed is 200000 bytes"):
        fetch_model(replace(info, sha256=None), policy=policy)
    assert names(cache) == {"test.pt.unverified"}


def test_without_a_listed_hash_the_first_download_sets_it(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    unlisted = replace(info, sha256=None)
    path = fetch_model(unlisted, policy=policy)
    record = read_record(path)
    assert record is not None
    assert record.voucher is Voucher.FIRST_DOWNLOAD
    path.unlink()
    server.content = server.content[::-1]
    with pytest.raises(DownloadError, match=record.sha256):
        fetch_model(unlisted, policy=policy)


def test_listed_size_may_be_wrong_if_the_hash_is_right(
    info: ModelInfo, cache: Path, policy: TransferPolicy
) -> None:
    assert fetch_model(replace(info, size_bytes=5), policy=policy).is_file()


def test_interrupt_keeps_the_part_for_the_next_time(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    def interrupt(done: int, _total: int | None) -> None:
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_model(info, policy=policy, progress=interrupt)
    kept = (cache / "test.pt.part").stat().st_size
    assert kept > 50_000
    assert fetch_model(info, policy=policy).read_bytes() == server.content
    assert server.ranges == [None, f"bytes={kept}-"]


def test_two_at_once_share_one_download(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    server.seconds_per_block = 0.01
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch_model(info, policy=policy)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [cache / "test.pt"] * 3
    assert server.requests == 1
    assert paths[0].read_bytes() == server.content


_FETCH = """
import sys
from pathlib import Path
from napari_sam2.checkpoints.download import fetch_model
from napari_sam2.checkpoints.registry import ModelInfo
url, sha256, folder = sys.argv[1:]
fetch_model(
    ModelInfo("test", "Test", url, "test.pt", None, sha256, "Apache-2.0", 1, ""),
    folder=Path(folder),
)
"""


def test_two_processes_share_one_download(info: ModelInfo, server: Any, tmp_path: Path) -> None:
    server.seconds_per_block = 0.02
    command = [sys.executable, "-c", _FETCH, str(info.url), str(info.sha256), str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert server.requests == 1
    assert (tmp_path / "test.pt").read_bytes() == server.content


def test_cancel_while_another_process_downloads(
    info: ModelInfo, server: Any, cache: Path, policy: TransferPolicy
) -> None:
    cache.mkdir()
    with (
        filelock.FileLock(cache / "test.pt.lock"),
        pytest.raises(DownloadCancelledError, match="was cancelled"),
    ):
        fetch_model(info, policy=policy, cancelled=lambda: True)
    assert server.requests == 0


def test_folder_that_is_a_file(info: ModelInfo, tmp_path: Path, policy: TransferPolicy) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be written to") as caught:
        fetch_model(info, folder=tmp_path / "taken" / "models", policy=policy)
    assert "NAPARI_SAM2_CACHE" in caught.value.remedy


def test_folder_that_may_not_be_written(
    info: ModelInfo, cache: Path, policy: TransferPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DownloadError, match="Permission denied"):
        fetch_model(info, policy=policy)


def test_bundled_needs_no_download(tmp_path: Path) -> None:
    missing = replace(get_model_info(BUNDLED), file_name="none.safetensors")
    with pytest.raises(CheckpointError, match="missing from this installation"):
        fetch_model(missing, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_name() -> None:
    with pytest.raises(CheckpointError, match="no model named"):
        download_model("sam3")
