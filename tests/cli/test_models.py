from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_sam2.checkpoints import ModelInfo, model_names, registry
from napari_sam2.cli.main import main
from napari_sam2.cli.models import app

CONTENT = hashlib.shake_256(b"model").digest(300_000)


class _SlowStart(BaseHTTPRequestHandler):
    """Sends two thirds at once, then nothing for a while; knows no ranges."""

    seconds = 0.0

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        try:
            self.wfile.write(CONTENT[:200_000])
            self.wfile.flush()
            time.sleep(self.seconds)
            self.wfile.write(CONTENT[200_000:])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_SlowStart, "seconds", 0.0)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _SlowStart)
    http.daemon_threads = True
    http.block_on_close = False
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAM2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def info(url: str, monkeypatch: pytest.MonkeyPatch) -> ModelInfo:
    """The only model there is: its listed hash is right."""
    info = ModelInfo(
        name="tiny",
        title="Tiny model",
        url=f"{url}/tiny.pt",
        file_name="tiny.pt",
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        licence="Apache-2.0",
        parameters=7,
        description="For tests.",
    )
    monkeypatch.setattr(registry, "MODELS", (info,))
    return info


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_list_shows_every_model_and_where_files_go(arguments: list[str], cache: Path) -> None:
    cache.mkdir()
    (cache / "sam2_hiera_tiny.pt").write_bytes(b"x")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line[2:].split()[0] for line in lines[:9]] == list(model_names())
    assert [line.split()[1] for line in lines[1:9] if line.startswith("*")] == ["sam2-tiny"]
    assert "898 MB" in done.stdout
    assert str(cache) in done.stdout


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"]])
def test_list_as_json(arguments: list[str], cache: Path) -> None:
    done = CliRunner().invoke(app, arguments)
    models = {facts["name"]: facts for facts in json.loads(done.stdout)}
    assert tuple(models) == model_names()
    assert models["sam2.1-tiny"]["installed"] is False
    assert models["sam2.1-tiny"]["path"] == str(cache / "sam2.1_hiera_tiny.pt")
    assert models["sam2.1-tiny"]["parameters"] == 38_962_754


def test_download_says_where_the_file_is(info: ModelInfo, cache: Path) -> None:
    done = CliRunner().invoke(app, ["download", "tiny"])
    assert done.exit_code == 0
    assert f"Tiny model: {cache / 'tiny.pt'}" in done.stdout
    assert f"SHA-256 {info.sha256} (vouched for by: registry)" in done.stdout
    assert (cache / "tiny.pt").read_bytes() == CONTENT


def test_download_as_json_into_a_folder(info: ModelInfo, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    done = CliRunner().invoke(app, ["download", "tiny", "--folder", str(folder), "--json"])
    assert json.loads(done.stdout) == {
        "name": "tiny",
        "path": str(folder / "tiny.pt"),
        "size_bytes": len(CONTENT),
        "sha256": info.sha256,
        "vouched_by": "registry",
    }
    assert (folder / "tiny.pt").is_file()


def test_file_put_there_by_hand_has_no_voucher(info: ModelInfo, cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.pt").write_bytes(b"by hand")
    done = CliRunner().invoke(app, ["download", "tiny", "--json"])
    assert json.loads(done.stdout)["vouched_by"] is None


def test_unknown_hash_needs_the_flag(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["models", "download", "sam2-tiny", "--base-url", url]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 1
    assert "--allow-unknown-hash" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--allow-unknown-hash"])
    assert stopped.value.code == 0
    assert "(vouched for by: user)" in capsys.readouterr().out


def test_unknown_name_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["models", "download", "sam2-huge"])
    assert stopped.value.code == 1
    assert "no model named 'sam2-huge'" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_interrupt_keeps_what_arrived(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_SlowStart, "seconds", 60.0)
    # A shell that runs the tests in its background has them ignore interrupts.
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heeds + "from napari_sam2.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "models", "download", "sam2-tiny", "--base-url", url],
        env={**os.environ, "NAPARI_SAM2_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    part = cache / "sam2_hiera_tiny.pt.part"
    end = time.monotonic() + 30
    while not (part.is_file() and part.stat().st_size > 100_000) and time.monotonic() < end:
        time.sleep(0.02)
    # Python loses an interrupt that arrives while it collects garbage: users press the keys again.
    errors, waits = None, 0
    while errors is None:
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            waits += 1
            assert waits < 3
    assert process.returncode == 130
    assert "goes on from there" in errors
    assert part.stat().st_size > 100_000
    assert CONTENT.startswith(part.read_bytes())
