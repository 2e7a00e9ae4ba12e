"""The panel computes on a server: a real one on the loopback, with a small network."""

from __future__ import annotations

import dataclasses
import sys
import types

import numpy as np
import pytest
import torch
from known_masks import known_masks
from session_servers import TOKEN, local_server

from napari_sam2.tracking import Model, TrackingSession
from napari_sam2.widgets.stack_panel import Wiring
from napari_sam2.widgets.state.model_catalog import ServerUse
from napari_sam2.widgets.state.settings import ModelUse, read_defaults, store_defaults


@pytest.fixture
def model() -> Model:
    return Model(known_masks(), "sam2.1-tiny", torch.device("cpu"), 64)


@pytest.fixture
def server(model):
    with local_server({"sam2.1-tiny": model}) as server:
        yield server


class Keyring(types.ModuleType):
    """A keyring in memory, as the package `keyring` gives it."""

    class errors:  # noqa: N801
        class KeyringError(Exception):
            pass

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}

    def get_keyring(self):
        return types.SimpleNamespace(priority=5)

    def get_password(self, service, name):
        return self.kept.get((service, name))

    def set_password(self, service, name, password):
        self.kept[service, name] = password


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delenv("NAPARI_SAM2_TOKEN", raising=False)


@pytest.fixture
def keyring(no_keyring, monkeypatch) -> Keyring:
    keyring = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    return keyring


@pytest.fixture
def panel(make_panel, blobs, sources):
    return make_panel(blobs(), wiring=Wiring(sources=sources))


def connected(panel) -> bool:
    return panel.server_text.startswith("Connected")


def test_prompts_propagation_and_undo_on_a_server(panel, server, model, qtbot):
    assert not panel.model_section.connect_button.isVisibleTo(panel.model_section)
    panel.compute_on_server(server.url, TOKEN)
    qtbot.waitUntil(lambda: connected(panel), timeout=60_000)
    assert panel.model_section.connect_button.isVisibleTo(panel.model_section)
    assert not panel.settings.device.native.isVisibleTo(panel.model_section)
    assert panel.chosen_model == "sam2.1-tiny"
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    panel.click(0, 10, 10)
    panel.wait_idle()
    assert (panel.labels_layer.data[0] == 1).any()
    panel.propagate("forward")
    panel.wait_idle()
    here = TrackingSession(model, panel.viewer.layers["blobs"].data)
    here.add_points(1, 0, [(10, 10)])
    list(here.propagate("forward"))
    np.testing.assert_array_equal(panel.labels_layer.data, here.labels)
    panel.undo()
    panel.wait_idle()
    assert not panel.labels_layer.data[1:].any()


@pytest.mark.stored_choices
def test_the_address_is_kept_and_the_token_is_not(panel, server, qtbot):
    panel.compute_on_server(server.url + "/", TOKEN)
    qtbot.waitUntil(lambda: connected(panel), timeout=60_000)
    assert "asked for again" in panel.server_text
    assert read_defaults().server == ServerUse(server.url, "")
    assert TOKEN not in repr(read_defaults())
    assert TOKEN not in repr(panel.settings.value)
    assert TOKEN not in repr(dataclasses.replace(ModelUse(), server=ServerUse("x", TOKEN)))
    panel.compute_here()
    assert read_defaults().server is None


@pytest.mark.stored_choices
def test_the_keyring_has_the_token_for_next_time(
    panel, make_panel, server, sources, keyring, qtbot, blobs
):
    panel.compute_on_server(server.url, TOKEN)
    qtbot.waitUntil(lambda: connected(panel), timeout=60_000)
    assert keyring.kept == {("napari-sam2", server.url): TOKEN}
    store_defaults(ModelUse(server=ServerUse(server.url)))
    later = make_panel(blobs(), wiring=Wiring(sources=sources), keep_settings=True)
    qtbot.waitUntil(lambda: connected(later), timeout=60_000)
    assert later.can_start


def test_a_script_that_sets_address_and_token_is_connected(panel, server, qtbot):
    panel.settings.server.value, panel.settings.token.value = server.url, TOKEN
    panel.settings.compute_on.value = "server"
    qtbot.waitUntil(lambda: connected(panel), timeout=60_000)
    assert panel.settings.value.use.server == ServerUse(server.url, TOKEN)


def test_without_token_or_server_it_says_so_and_goes_on_here(panel, server, qtbot):
    panel.compute_on_server(server.url, "not-the-token-of-it")
    qtbot.waitUntil(lambda: "does not accept the token" in panel.server_text, timeout=60_000)
    assert "runs on this computer" in panel.server_text
    panel.compute_on_server(server.url, "")
    qtbot.waitUntil(lambda: "is not known here" in panel.server_text, timeout=60_000)
    panel.compute_on_server("nonsense", "x")
    qtbot.waitUntil(lambda: "scheme, host and port" in panel.server_text, timeout=60_000)
    assert panel.can_start
    panel.compute_here()
    assert panel.server_text == ""


@pytest.mark.stored_choices
def test_a_server_that_is_away_at_the_start_is_said(make_panel, blobs, sources, qtbot):
    store_defaults(ModelUse(server=ServerUse("http://127.0.0.1:9")))
    panel = make_panel(blobs(), wiring=Wiring(sources=sources), keep_settings=True)
    qtbot.waitUntil(lambda: "is not known here" in panel.server_text, timeout=60_000)
    assert panel.settings.server.value == "http://127.0.0.1:9"
    assert not panel.can_start
    qtbot.waitUntil(lambda: panel.hint.startswith("Connect to the server"), timeout=60_000)
    panel.compute_here()
    qtbot.waitUntil(lambda: panel.can_start, timeout=60_000)
    store_defaults(ModelUse())
