"""What reaches a server from strangers: nothing without the token, nothing beyond the limits."""

from __future__ import annotations

import json
import logging
import os
import pickle
import secrets
import zlib
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_servers import TOKEN, local_server
from starlette.routing import Route

from napari_sam2.errors import RemoteError
from napari_sam2.prompts import FramePrompt
from napari_sam2.remote import connect
from napari_sam2.remote.connection import Connection
from napari_sam2.remote.frame_data import FrameData, compressed
from napari_sam2.remote.limits import ServerLimits
from napari_sam2.remote.messages import CLIENT_HEADER, PROTOCOL_HEADER, Message, MessageBuilder
from napari_sam2.remote.server.app import SessionServer, create_app
from napari_sam2.remote.server.served_models import ServedModels
from napari_sam2.remote.values import prompt_values
from napari_sam2.tracking import TrackingSettings

CLIENT = "0" * 32
GOOD = {
    "Authorization": f"Bearer {TOKEN}",
    PROTOCOL_HEADER: "1",
    CLIENT_HEADER: CLIENT,
}


@pytest.fixture(scope="module")
def raw(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        yield client


def routes() -> list[Route]:
    return SessionServer(ServedModels({}), ServerLimits()).routes()


def paths() -> list[tuple[str, str]]:
    found = []
    for route in routes():
        found += [(method, route.path) for method in sorted(route.methods)]
    return found


def test_routes_are_walked():
    assert len(paths()) >= 10


@pytest.mark.parametrize(("method", "path"), [*paths(), ("GET", "/"), ("POST", "/nothing")])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_nothing_is_answered_without_the_token(raw, method, path, authorization):
    headers = {key: value for key, value in GOOD.items() if key != "Authorization"}
    if authorization is not None:
        headers["Authorization"] = authorization
    answer = raw.request(method, f"{path}?token={TOKEN}", headers=headers)
    assert answer.status_code == 401
    assert TOKEN not in answer.text


@pytest.mark.parametrize(("method", "path"), paths())
def test_another_version_is_told_so(raw, method, path):
    answer = raw.request(method, path, headers={**GOOD, PROTOCOL_HEADER: "0"})
    assert answer.status_code == 426
    assert answer.headers[PROTOCOL_HEADER] == "1"


def test_a_route_that_is_not_there_is_404(raw):
    assert raw.get("/v1/nothing", headers=GOOD).status_code == 404
    assert raw.put("/v1/about", headers=GOOD).status_code == 405


def test_a_token_is_long():
    with pytest.raises(ValueError, match="16"):
        create_app(ServedModels({}), "short")


# Malformed requests.

WHOLE = st.one_of(st.integers(-3, 200), st.integers(-(2**70), 2**70))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        WHOLE,
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    ),
    lambda each: st.one_of(
        st.lists(each, max_size=6), st.dictionaries(st.text(max_size=8), each, max_size=4)
    ),
    max_leaves=12,
)


def spec(**changes):
    return {
        "session": "1" * 32,
        "model": {"name": "tiny", "image_size": None, "precision": "auto"},
        "weights": "unknown",
        "n_frames": 4,
        "frame": {"shape": [16, 20, 1], "dtype": "uint8"},
        "contrast": [[0, 255]],
        "settings": {},
        "keep_logits": False,
        "kind": "unknown",
        **changes,
    }


def click(models):
    pixels = np.arange(320, dtype=np.uint8).reshape(16, 20, 1)
    frame = FrameData.of(pixels)
    return (
        frame,
        {
            "spec": spec(weights=models["tiny"].weights_digest),
            "hashes": [[1, frame.key.hex()]],
            "unreadable": [],
            "objects": [],
            "items": [],
            "object_id": 1,
            "frame": 1,
            "prompt": {
                "points": [[5, 5]],
                "positive": [True],
                "box": None,
                "mask": None,
                "rounds": [1],
            },
            "current": [0, 0, 0, 0, -1],
            "labels": ["uint16", 0, 0, 0, 0, -1],
            "refines": False,
            "rank": 0,
            "tracked": False,
            "step": 1,
            "visits": [1],
            "plan": [[1, [1], ["uint16", 0, 0, 0, 0, -1]]],
            "recent": [],
            "taken": [0, 0, 0, 0, -1],
            "examples": [],
            "decided": "00" * 16,
        },
    )


def send(raw, path, head, blocks=()):
    return raw.post(path, headers=GOOD, content=Message(head, blocks).encode())


def test_the_request_that_is_spoiled_below_is_good(raw, models):
    frame, head = click(models)
    assert send(raw, "/v1/decide", head).status_code == 409
    kept = {"frame": frame.head.values(), "key": frame.key.hex()}
    assert send(raw, "/v1/frames", kept, (frame.data,)).status_code == 200
    assert send(raw, "/v1/decide", head).status_code == 200


POSTS = [path for method, path in paths() if method == "POST"]
SPOILED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused(answer):
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    assert TOKEN not in answer.text


@pytest.mark.parametrize("path", POSTS)
@settings(SPOILED, max_examples=10)  # all routes decode in one place
@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_message_are_refused(raw, path, data):
    refused(raw.post(path, headers=GOOD, content=data))


@pytest.mark.parametrize("path", POSTS)
@SPOILED
@given(data=st.data())
def test_a_request_with_a_wrong_value_is_refused_or_means_something(raw, models, path, data):
    _, head = click(models)
    if path == "/v1/model":
        head = {"name": "tiny", "image_size": None, "precision": "auto"}
    elif path.startswith("/v1/frames"):
        head = {"key": "0" * 32, "keys": [], "frame": {"shape": [2, 2, 1], "dtype": "uint8"}}
    place, key = head, data.draw(st.sampled_from(sorted(head)))
    while isinstance(place[key], dict) and data.draw(st.booleans()):
        place = place[key]
        if not place:
            return
        key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        place[key] = data.draw(VALUE)
    else:
        del place[key]
    answer = send(raw, path, head, (data.draw(st.binary(max_size=20)),))
    if answer.status_code != 200:
        refused(answer)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 9000])
def test_numbers_that_are_none_are_refused(raw, models, word):
    _, head = click(models)
    head["prompt"]["points"] = [["@", 5]]
    data = Message(head).encode().replace(b'"@"', word.encode())
    size = len(data) - 8
    data = data[:4] + size.to_bytes(4, "little") + data[8:]
    refused(raw.post("/v1/decide", headers=GOOD, content=data))


def test_the_server_lives_after_all_that(raw):
    assert raw.get("/v1/about", headers=GOOD).status_code == 200


def test_what_is_malformed_leaves_no_traceback_in_the_log(raw, models, caplog):
    with caplog.at_level(logging.ERROR, "napari_sam2.server"):
        send(raw, "/v1/decide", {"spec": spec(n_frames=-1)})
        send(raw, "/v1/decide", {"spec": spec()})
    assert not caplog.records


# Limits.


@pytest.fixture(scope="module")
def narrow(models):
    limits = ServerLimits(
        body_bytes=4000, frame_pixels=400, objects=2, sessions=1, clients=2, planned_frames=2
    )
    with (
        local_server(models, limits=limits) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield client


def test_a_large_body_is_refused_announced_or_not(narrow):
    assert narrow.post("/v1/decide", headers=GOOD, content=b"x" * 4001).status_code == 413
    pieces = (b"x" * 1000 for _ in range(10))
    assert narrow.post("/v1/decide", headers=GOOD, content=pieces).status_code == 413


def test_a_request_that_drips_in_is_ended(models):
    import socket

    with local_server(models, limits=ServerLimits(read_s=0.3)) as server:
        head = "".join(f"{key}: {value}\r\n" for key, value in GOOD.items())
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
            begun = f"POST /v1/decide HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n{head}\r\nNS2"
            line.sendall(begun.encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_large_frame_is_refused_before_it_is_decompressed(narrow, monkeypatch):
    from napari_sam2.remote import frame_data

    def never(*_args, **_options):
        raise AssertionError("it was decompressed")

    monkeypatch.setattr(frame_data.imagecodecs, "zstd_decode", never)
    frame = FrameData.of(np.zeros((401, 1, 1), np.uint8))
    head = {"frame": frame.head.values(), "key": frame.key.hex()}
    assert send(narrow, "/v1/frames", head, (frame.data,)).status_code == 400


@pytest.mark.parametrize(
    "data",
    [
        compressed(np.zeros(2**24, np.uint8)),  # decompresses to more than it says
        compressed(np.zeros(4, np.uint8)),
        b"no zstd",
        b"",
    ],
    ids=["bomb", "short", "damaged", "empty"],
)
def test_compressed_data_of_another_length_are_refused(narrow, data):
    frame = FrameData.of(np.zeros((20, 20, 1), np.uint8))
    head = {"frame": frame.head.values(), "key": frame.key.hex()}
    assert len(data) < 4000
    refused(send(narrow, "/v1/frames", head, (data,)))


def test_pixels_that_are_others_than_their_hash_says_are_refused(narrow):
    frame = FrameData.of(np.zeros((20, 20, 1), np.uint8))
    head = {"frame": frame.head.values(), "key": secrets.token_hex(16)}
    refused(send(narrow, "/v1/frames", head, (frame.data,)))
    missing = send(narrow, "/v1/frames/missing", {"keys": [head["key"]]})
    assert Message.decode(missing.content).head["missing"] == [head["key"]]


def test_a_mask_that_decompresses_to_more_than_its_box_is_refused(narrow, models):
    _, head = click(models)
    head["current"] = [0, 2, 0, 2, 0]
    refused(send(narrow, "/v1/decide", head, (zlib.compress(bytes(10**6)),)))


def test_a_mask_alone_is_refused_since_it_needs_no_network(raw, models):
    _, head = click(models)
    builder = MessageBuilder()
    head["prompt"] = prompt_values(FramePrompt(mask=np.eye(16, 20, dtype=bool)), builder)
    answer = raw.post("/v1/decide", headers=GOOD, content=builder.message(head).encode())
    refused(answer)
    assert "needs no network" in answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"objects": [[n, "0" * 32] for n in (1, 2, 3)]},
        {"plan": [[1, [1], ["uint16", 0, 0, 0, 0, -1]]] * 3},
        {"plan": [[1, [1, 2, 3], ["uint16", 0, 0, 0, 0, -1]]]},
        {"spec": spec(frame={"shape": [21, 20, 1], "dtype": "uint8"})},
        {"spec": spec(frame={"shape": [2, 20, 1], "dtype": "object"})},
        {"spec": spec(n_frames=10**9)},
        {"spec": spec(settings={"object_chunk": 10**6})},
        {"spec": spec(settings={"__class__": 1})},
        {"spec": spec(kind="hologram")},
        {"spec": spec(model={"name": "/etc/passwd", "image_size": None, "precision": "auto"})},
        {"spec": spec(model={"name": "../tiny", "image_size": None, "precision": "auto"})},
    ],
)
def test_requests_beyond_the_limits_are_refused(narrow, models, change):
    _, head = click(models)
    change = dict(change)
    if "spec" in change and "weights" in change["spec"]:
        change["spec"] = {**change["spec"], "weights": models["tiny"].weights_digest}
    refused(send(narrow, "/v1/follow", {**head, **change}))


def test_pickles_are_nothing_here(raw):
    class Evil:
        def __reduce__(self):
            return os.system, ("false",)

    refused(raw.post("/v1/decide", headers=GOOD, content=pickle.dumps(Evil())))


def test_no_module_here_reads_pickles():
    import napari_sam2.remote as package

    for module in Path(package.__file__).parent.rglob("*.py"):
        text = module.read_text("utf-8")
        for word in ("import pickle", "torch.load", "allow_pickle", "eval(", "exec("):
            assert word not in text, (module, word)


# Files.


def test_paths_are_confined_to_the_data_root(models, tmp_path):
    import tifffile

    root, outside = tmp_path / "root", tmp_path / "outside.tif"
    root.mkdir()
    image = np.arange(2 * 16 * 20, dtype=np.uint16).reshape(2, 16, 20)
    tifffile.imwrite(outside, image, photometric="minisblack")
    tifffile.imwrite(root / "inside.tif", image, photometric="minisblack")
    (root / "link.tif").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    key = FrameData.of(image[1][..., None]).key.hex()
    with (
        local_server(models, data_root=root) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as raw,
    ):

        def found(path, **changes):
            head = {
                "path": path,
                "series": None,
                "level": 0,
                "axis": 0,
                "channel_axis": None,
                "channels": [],
                "at": [],
                "region": None,
                "transposed": False,
                "frame": 1,
                "key": key,
                **changes,
            }
            answer = send(raw, "/v1/frames/read", head)
            assert answer.status_code == 200, answer.text
            return Message.decode(answer.content).head["found"]

        assert found("inside.tif")
        assert found(str(root / "inside.tif"))
        assert found("../root/inside.tif")
        for path in (
            "../outside.tif",
            str(outside),
            "link.tif",
            "folder/outside.tif",
            "/etc/passwd",
            "missing.tif",
            ".",
            "~",
        ):
            assert not found(path), path
        assert not found("inside.tif", frame=5)
        assert not found("inside.tif", key="0" * 32), "other pixels than the client has"


# The token on the side of the client.


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{TOKEN}@127.0.0.1:1528",
        f"http://127.0.0.1:1528/?token={TOKEN}",
        f"http://127.0.0.1:1528/{TOKEN}",
        "ftp://127.0.0.1",
        "127.0.0.1:1528",
        "http://",
        "http://127.0.0.1:999999",
    ],
)
def test_addresses_with_more_than_host_and_port_are_refused(url):
    with pytest.raises(RemoteError) as caught:
        Connection(url, TOKEN)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["", " ", "a b", "é", "a\nX-Evil: 1"])
def test_what_is_no_token_is_refused_and_not_shown(token):
    with pytest.raises(RemoteError, match="no token"):
        Connection("http://127.0.0.1:1", token)


def test_another_machine_without_tls_is_warned_of():
    with pytest.warns(UserWarning, match="ssh tunnel"):
        Connection("http://example.org:1528", TOKEN).close()
    Connection("https://example.org:1528", TOKEN).close()


def test_the_token_is_in_no_message_log_or_text(server, noise, caplog):
    wrong = "wrong-" + secrets.token_hex(8)
    with caplog.at_level(logging.DEBUG), pytest.raises(RemoteError, match="token") as caught:
        connect(server.url, wrong)
    assert wrong not in str(caught.value)
    with caplog.at_level(logging.DEBUG):
        connection = connect(server.url, TOKEN)
        session = connection.session(noise[:2])
        session.add_points(1, 0, [(20, 20)])
        texts = [repr(connection), repr(session.model), json.dumps(session._tracker.engine._spec)]
        connection.close()
        with pytest.raises((RemoteError, RuntimeError)) as gone:
            session.add_points(1, 1, [(20, 20)])
    texts += [str(gone.value), caplog.text]
    for text in texts:
        assert TOKEN not in text
        assert wrong not in text
    with pytest.raises(RemoteError, match="cannot be sent"):
        pickle.dumps(connection)


def test_what_is_no_such_server_is_said(tmp_path):
    import http.server
    import threading

    handler = http.server.SimpleHTTPRequestHandler
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        with pytest.raises(RemoteError, match="no napari-sam2 server"):
            connect(f"http://127.0.0.1:{other.server_port}", TOKEN)
    finally:
        other.shutdown()
        thread.join()
        other.server_close()
    with pytest.raises(RemoteError, match="does not answer"):
        connect(f"http://127.0.0.1:{other.server_port}", TOKEN, patience_s=0.2)


def test_settings_that_only_cost_are_bounded():
    from napari_sam2.remote.messages import Fields
    from napari_sam2.remote.session_spec import StackSpec
    from napari_sam2.remote.values import settings_values

    given_values = settings_values(replace(TrackingSettings(), cached_frames=10**6))
    found = StackSpec.of(Fields(spec(settings=given_values)), ServerLimits())
    assert found.served_settings.cached_frames == 16
    assert found.served_settings.read_attempts == 1
