from __future__ import annotations

import errno
import io
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_sam2.checkpoints.download_target import DownloadCancelledError, Order
from napari_sam2.checkpoints.http_transfer import Transfer, TransferPolicy
from napari_sam2.errors import DownloadError


@pytest.fixture
def order(server: Any, tmp_path: Path) -> Order:
    return Order("Test model", f"{server.url}/test.pt", tmp_path / "test.pt")


def test_whole_file_arrives_with_rising_progress(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    seen: list[tuple[int, int | None]] = []
    Transfer(order, policy, lambda done, total: seen.append((done, total))).run()
    assert order.part.read_bytes() == server.content
    assert seen[0] == (0, len(server.content))
    assert seen[-1] == (len(server.content), len(server.content))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    # What comes at once is as large as the connection makes it, 64 KiB at most.
    assert len(seen) > len(server.content) // 2**16


def test_part_file_is_continued_by_range(order: Order, server: Any, policy: TransferPolicy) -> None:
    order.part.write_bytes(server.content[:50_000])
    seen: list[int] = []
    Transfer(order, policy, lambda done, _: seen.append(done)).run()
    assert order.part.read_bytes() == server.content
    assert server.ranges == ["bytes=50000-"]
    assert seen[0] == 50_000


def test_whole_part_file_is_recognised(order: Order, server: Any, policy: TransferPolicy) -> None:
    order.part.write_bytes(server.content)
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content
    assert server.requests == 1


def test_part_file_longer_than_the_file_starts_over(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    order.part.write_bytes(server.content + b"too much")
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content
    assert server.ranges == [f"bytes={len(server.content) + 8}-", None]


def test_truncated_answers_are_continued(order: Order, server: Any, policy: TransferPolicy) -> None:
    server.truncate_after = 30_000
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content
    assert server.requests == 7
    assert server.ranges[1:3] == ["bytes=30000-", "bytes=60000-"]


def test_stalled_answers_are_continued(order: Order, server: Any, policy: TransferPolicy) -> None:
    server.stall_after, server.faults = 70_000, 2
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content
    assert server.ranges == [None, "bytes=70000-", "bytes=140000-"]


def test_server_that_sends_nothing_is_given_up(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.stall_after = 0
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"nothing arrived for 0\.3 s"):
        Transfer(order, policy).run()
    assert server.requests == policy.attempts
    assert time.monotonic() - started < 5


def test_server_that_ignores_ranges_starts_over(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.ignore_ranges = True
    order.part.write_bytes(server.content[:50_000])
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content


def test_ignored_ranges_and_truncation_do_not_go_on_for_ever(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.ignore_ranges, server.truncate_after = True, 30_000
    with pytest.raises(DownloadError, match="peer closed connection"):
        Transfer(order, policy).run()
    assert server.requests == policy.attempts + 1


def test_server_that_answers_another_range_starts_over(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.wrong_ranges = True
    order.part.write_bytes(server.content[:50_000])
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content
    assert server.ranges == ["bytes=50000-", None]


def test_unknown_length(order: Order, server: Any, policy: TransferPolicy) -> None:
    server.unknown_length = True
    totals: set[int | None] = set()
    Transfer(order, policy, lambda _, total: totals.add(total)).run()
    assert order.part.read_bytes() == server.content
    assert totals == {None}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_status_is_tried_again(
    order: Order, server: Any, policy: TransferPolicy, status: int
) -> None:
    server.statuses = [status, status]
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content


def test_lasting_server_fault_is_given_up(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.statuses = [503] * 10
    with pytest.raises(DownloadError, match="503 Service Unavailable"):
        Transfer(order, policy).run()
    assert server.requests == policy.attempts


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (403, "403 Forbidden")])
def test_final_status_is_not_tried_again(
    order: Order, server: Any, policy: TransferPolicy, status: int, words: str
) -> None:
    server.statuses = [status] * 10
    with pytest.raises(DownloadError, match=words) as caught:
        Transfer(order, policy).run()
    assert server.requests == 1
    assert str(order.target) in caught.value.remedy


def test_final_status_keeps_the_part(order: Order, server: Any, policy: TransferPolicy) -> None:
    server.statuses = [404]
    order.part.write_bytes(server.content[:150_000])
    with pytest.raises(DownloadError, match=r"0\.1 MB that arrived are kept"):
        Transfer(order, policy).run()
    assert order.part.stat().st_size == 150_000


def test_login_page_is_no_model(order: Order, server: Any, policy: TransferPolicy) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page came instead"):
        Transfer(order, policy).run()
    assert not order.part.exists()


@pytest.mark.parametrize("url", ["ftp://example.org/test.pt", "test.pt", "http://[bad/"])
def test_url_of_another_kind(order: Order, policy: TransferPolicy, url: str) -> None:
    with pytest.raises(DownloadError, match="could not be downloaded"):
        Transfer(replace(order, url=url), policy).run()


def test_proxy_that_cannot_be_used(
    order: Order, policy: TransferPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:1")
    with pytest.raises(DownloadError, match="the proxy settings cannot be used"):
        Transfer(order, policy).run()


def test_offline_names_the_url_and_the_path(order: Order, policy: TransferPolicy) -> None:
    offline = replace(order, url="http://127.0.0.1:9/test.pt")
    with pytest.raises(DownloadError) as caught:
        Transfer(offline, policy).run()
    assert offline.url in caught.value.remedy
    assert str(order.target) in caught.value.remedy


def test_cancel_stops_at_the_next_chunk_and_keeps_what_came(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.seconds_per_block = 0.01
    seen: list[int] = []
    transfer = Transfer(
        order,
        policy,
        progress=lambda done, _: seen.append(done),
        cancelled=lambda: bool(seen) and seen[-1] >= 40_000,
    )
    with pytest.raises(DownloadCancelledError, match="was cancelled"):
        transfer.run()
    assert 40_000 <= order.part.stat().st_size < 60_000
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content


def test_cancel_while_waiting_for_the_next_attempt(
    order: Order, server: Any, policy: TransferPolicy
) -> None:
    server.statuses = [503] * 10
    started = time.monotonic()
    with pytest.raises(DownloadCancelledError):
        Transfer(order, replace(policy, backoff=60), cancelled=lambda: server.requests > 0).run()
    assert time.monotonic() - started < 5


def test_too_little_space_is_noticed_before_the_first_byte(
    order: Order, policy: TransferPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(order.part.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(DownloadError, match=r"no space .* 0\.1 MB more are needed"):
        Transfer(order, policy).run()
    assert not order.part.exists()


class _FullDisk(io.FileIO):
    """A file on a disk that has room for 100 000 bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_disk_that_fills_on_the_way_keeps_what_fits(
    order: Order, server: Any, policy: TransferPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode: _FullDisk(str(path), mode))
        with pytest.raises(DownloadError, match="no space for Test model"):
            Transfer(order, policy).run()
    # What comes at once is as large as the connection makes it, 64 KiB at most.
    assert 100_000 - 2**16 <= order.part.stat().st_size <= 100_000
    Transfer(order, policy).run()
    assert order.part.read_bytes() == server.content


@pytest.mark.parametrize("unknown_length", [True, False])
def test_more_than_the_listed_size_is_not_fetched(
    order: Order, server: Any, policy: TransferPolicy, unknown_length: bool
) -> None:
    server.unknown_length = unknown_length
    small = replace(order, most_bytes=100_000)
    with pytest.raises(DownloadError, match=r"file that is listed has 100000"):
        Transfer(small, policy).run()
    assert order.part_size() == 0
    assert server.requests == 1


def test_a_trickle_is_given_up(order: Order, server: Any, policy: TransferPolicy) -> None:
    server.seconds_per_block = 0.05
    slow = replace(policy, stall_timeout=0.3, least_rate=1e7, attempts=2)
    with pytest.raises(DownloadError, match=r"only \d+ bytes arrived in"):
        Transfer(order, slow).run()
    assert order.part.stat().st_size < len(server.content)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_missing_are_named(
    order: Order, policy: TransferPolicy, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "/no/such/certificates.pem")

    def client(**options: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("httpx.Client", client)
    with pytest.raises(DownloadError, match=f"certificates cannot be read.*{variable}") as caught:
        Transfer(order, policy).run()
    assert "space" not in str(caught.value)


def test_a_certificate_file_that_is_missing_is_no_full_cache(
    order: Order, policy: TransferPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/certificates.pem")
    with pytest.raises(DownloadError) as caught:
        Transfer(replace(order, url="https://127.0.0.1:1/a.pt"), replace(policy, attempts=1)).run()
    assert "cannot be written" not in str(caught.value)
