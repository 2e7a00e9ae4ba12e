"""The command that serves: what it refuses, what it shows, and a laptop that computes on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import forked
import httpx
import numpy as np
import pytest
import tifffile
from command_jobs import command
from session_servers import TOKEN, local_server
from typer.testing import CliRunner

from napari_sam2.checkpoints import find_model_file
from napari_sam2.cli.main import app
from napari_sam2.errors import CheckpointError, RemoteError
from napari_sam2.remote import connect
from napari_sam2.remote.messages import CLIENT_HEADER, PROTOCOL_HEADER
from napari_sam2.remote.server.run import (
    ServerOptions,
    check_address,
    is_loopback,
    prepare,
    serve,
    start_message,
    token_of,
)
from napari_sam2.remote.server.served_models import ServedModels
from napari_sam2.remote.session_spec import ModelSpec
from napari_sam2.remote.tokens import given_token

PATIENCE_S = 300


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_this_machine_needs_no_token_file(host):
    assert is_loopback(host)
    check_address(ServerOptions(models=("bundled",), host=host), pytest.fail)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "gpu-box", "127.0.0.1.evil.org"])
def test_an_address_that_others_reach_needs_a_token_file_and_wants_tls(host):
    assert not is_loopback(host)
    with pytest.raises(RemoteError, match="other machines reach") as caught:
        check_address(ServerOptions(models=("bundled",), host=host), pytest.fail)
    assert "--token-file" in caught.value.remedy
    told = []
    file = Path("token")
    check_address(ServerOptions(models=("bundled",), host=host, token_file=file), told.append)
    assert ["TLS" in text for text in told] == [True]
    pem = Path("x.pem")
    safe = ServerOptions(models=("bundled",), host=host, token_file=file, certificate=pem, key=pem)
    check_address(safe, pytest.fail)
    assert safe.url.startswith("https://")


def test_tls_needs_both_files():
    with pytest.raises(RemoteError, match="both"):
        check_address(ServerOptions(models=("bundled",), key=Path("x")), pytest.fail)


def test_a_token_file_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "token"
    first = token_of(file, pytest.fail)
    assert len(first) >= 32
    assert token_of(file, pytest.fail) == first
    assert given_token("http://x", file) == first
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)
        told = []
        assert token_of(file, told.append) == first
        assert "chmod 600" in told[0]
        assert first not in told[0]
    assert token_of(None, pytest.fail) != token_of(None, pytest.fail)


@pytest.mark.parametrize("content", ["", "short", "with a space in the middle", "é" * 20])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_text(content, "utf-8")
    file.chmod(0o600)
    with pytest.raises(RemoteError, match="no token"):
        token_of(file, pytest.fail)
    with pytest.raises(RemoteError, match="cannot be used"):
        token_of(tmp_path / "missing" / "token", pytest.fail)


def test_the_greeting_has_address_token_and_the_way_through_ssh(tmp_path):
    text = "\n".join(start_message(ServerOptions(models=("bundled",), port=1600), "the-token"))
    assert "http://127.0.0.1:1600" in text
    assert "the-token" in text
    assert "ssh -N -o ServerAliveInterval=10 -L 1600:127.0.0.1:1600 " in text
    kept = ServerOptions(models=("bundled",), token_file=tmp_path / "token")
    assert "the-token" not in "\n".join(start_message(kept, "the-token"))


def test_models_that_are_not_here_and_ports_in_use_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SAM2_CACHE", str(tmp_path))
    for name in ("sam2.1-large", "nonsense", str(tmp_path)):
        with pytest.raises(RemoteError, match="cannot be offered"):
            serve(ServerOptions(models=(name,)), pytest.fail, pytest.fail)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = ServerOptions(models=("bundled",), device="cpu", port=taken.getsockname()[1])
        with pytest.raises(RemoteError, match="cannot listen"):
            serve(options, pytest.fail, pytest.fail)
    with pytest.raises(RemoteError, match="no folder"):
        serve(ServerOptions(models=("bundled",), data_root=tmp_path / "no"), print, print)


def test_a_checkpoint_file_is_offered_under_its_stem(tmp_path):
    own = tmp_path / "cells.safetensors"
    shutil.copyfile(find_model_file("bundled"), own)
    options = ServerOptions(models=("bundled", str(own)), device="cpu")
    assert "Serving bundled, cells at" in start_message(options, "the-token")[0]
    models = ServedModels.of_registry(options.models, "cpu")
    assert models.names == ("bundled", "cells")
    described = models.describe(ModelSpec("cells")).head
    assert described["weights"] == models.describe(ModelSpec("bundled")).head["weights"]
    assert str(tmp_path) not in str(described)
    for asked in (str(own), own.name):  # a client gives no path
        with pytest.raises(RemoteError, match="does not offer"):
            models.get(ModelSpec(asked))


def test_two_models_of_one_name_are_not_offered(tmp_path):
    for name in ("bundled.safetensors", "cells.pt", "cells.safetensors"):
        (tmp_path / name).touch()
    for names in (("bundled.safetensors",), ("cells.pt", "cells.safetensors")):
        paths = [str(tmp_path / name) for name in names]
        with pytest.raises(RemoteError, match="another model has that name"):
            ServedModels.of_registry(paths, "cpu")


def test_a_file_that_is_no_checkpoint_is_said_at_the_start(tmp_path):
    own = tmp_path / "cells.pt"
    own.write_text("no weights", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cells"):
        prepare(ServerOptions(models=("bundled", str(own)), device="cpu"), pytest.fail)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_that_cannot_be_used_is_said_with_both_files(tmp_path, content):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if content is not None:
        certificate.write_bytes(content)
        key.write_bytes(content)
    options = ServerOptions(models=("bundled",), certificate=certificate, key=key)
    with pytest.raises(RemoteError, match=r"TLS cannot be had") as caught:
        prepare(options, pytest.fail)
    assert str(certificate) in str(caught.value)
    assert str(key) in str(caught.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(RemoteError) as caught:
        serve(ServerOptions(models=("bundled",)), pytest.fail, pytest.fail)
    assert "napari-sam2[server]" in caught.value.remedy


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_is_checked_by_the_client(models, noise, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with local_server(models, ssl_certfile=certificate, ssl_keyfile=key) as server:
        assert server.url.startswith("https://")
        with pytest.raises(RemoteError, match=r"does not answer.*certificate"):
            connect(server.url, TOKEN, patience_s=0.1)
        connection = connect(server.url, TOKEN, certificate=certificate)
        session = connection.session(noise[:2])
        assert session.add_points(1, 0, [(20, 20)]).masks.any()
        connection.close()
    with pytest.raises(RemoteError, match="no certificate"):
        connect("https://127.0.0.1:1", TOKEN, certificate=tmp_path / "none.pem")


def fastest_answer(port: int, token: str) -> float:
    """Return the seconds that the fastest of some requests takes, of an old connection.

    A new one acknowledges everything at once.
    """
    headers = {"Authorization": f"Bearer {token}", PROTOCOL_HEADER: "1", CLIENT_HEADER: "0" * 32}
    taken = []
    with httpx.Client(trust_env=False, headers=headers) as client:
        for _ in range(40):
            began = time.perf_counter()
            assert client.get(f"http://127.0.0.1:{port}/v1/about").status_code == 200
            taken.append(time.perf_counter() - began)
    return min(taken[-10:])


def test_segment_on_a_server_gives_the_labels_of_segment_here(tmp_path):
    image = tmp_path / "data" / "stack.tif"
    image.parent.mkdir()
    planes = np.zeros((3, 64, 64), np.uint16)
    planes[:, 20:40, 22:44] = 900
    tifffile.imwrite(image, planes, photometric="minisblack", metadata={"axes": "ZYX"})
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("frame,object,kind,y,x,y2,x2,positive\n1,1,point,30,30,,,1\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token, said = tmp_path / "token", tmp_path / "said.txt"
    options = ["--model", "bundled", "--port", str(port), "--token-file", str(token)]
    options += ["--data-root", str(image.parent)]
    process = forked.start(command, ["serve", "--device", "cpu", *options], said=said)
    try:
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends and process.is_alive():
            try:
                httpx.get(f"http://127.0.0.1:{port}", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        # Until its head is acknowledged, 40 ms later, the rest of an answer would wait.
        assert fastest_answer(port, token_of(token, pytest.fail)) < 0.03
        common = ["segment", str(image), "-p", str(clicks), "--device", "cpu", "--json"]
        there = ["--server", f"http://127.0.0.1:{port}", "--token-file", str(token)]
        labels = []
        fewer = [*there, "--send", "uint8"]
        for name, options in (("here", []), ("there", there), ("in 8 bits", fewer)):
            out = tmp_path / f"{name}.tif"
            ran = CliRunner().invoke(app, [*common, "-o", str(out), *options])
            assert ran.exit_code == 0, ran.output
            # Before click 8.2 what is said on stderr comes first.
            summary = json.loads(ran.stdout[ran.stdout.index("{") :])
            assert (summary["device"] == "cpu") == (name == "here")
            labels.append(tifffile.imread(out))
        np.testing.assert_array_equal(*labels[:2])
        assert ((labels[0] > 0) == (labels[2] > 0)).mean() > 0.99
        assert labels[0].any()
    finally:
        os.kill(process.pid, signal.SIGINT)
        process.join(PATIENCE_S)
    text = said.read_text(encoding="utf-8")
    assert process.exitcode == 0, text
    assert "ssh -N -o ServerAliveInterval=10 -L" in text
    assert token.read_text(encoding="utf-8").strip() not in text


def test_segment_without_a_token_says_where_it_would_come_from(tmp_path, monkeypatch):
    monkeypatch.delenv("NAPARI_SAM2_TOKEN", raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    from napari_sam2.cli.serve import model_on_server

    with pytest.raises(RemoteError, match="no token") as caught:
        model_on_server("http://127.0.0.1:1", None, "bundled", None, tmp_path)
    assert "NAPARI_SAM2_TOKEN" in caught.value.remedy
    monkeypatch.setenv("NAPARI_SAM2_TOKEN", " from-the-environment ")
    assert given_token("http://127.0.0.1:1") == "from-the-environment"


def test_frames_travel_to_a_server_as_they_are_asked_to(tmp_path, monkeypatch):
    from napari_sam2.cli.serve import SentPixels, model_on_server

    asked = []

    class Noted:
        def __init__(self, url, token, pixels):
            asked.append((url, token, pixels))

        def model(self, name, image_size, source):
            return name

    monkeypatch.setenv("NAPARI_SAM2_TOKEN", "a token")
    monkeypatch.setattr("napari_sam2.remote.connection.connect", Noted)
    for send in SentPixels:
        model_on_server("http://127.0.0.1:1", None, "bundled", None, tmp_path, send=send)
    assert [pixels for *_, pixels in asked] == ["stored", "uint16", "uint8"]


def test_sending_needs_a_server(tmp_path):
    image = tmp_path / "stack.tif"
    tifffile.imwrite(image, np.zeros((2, 64, 64), np.uint8))
    given = ["segment", str(image), "--auto", "-o", str(tmp_path / "l.tif"), "--send", "uint8"]
    ran = CliRunner().invoke(app, given)
    assert ran.exit_code != 0
    assert isinstance(ran.exception, RemoteError) or "--server" in ran.output
    assert not (tmp_path / "l.tif").exists()
