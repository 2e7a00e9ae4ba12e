"""`remote_model`: a `Model` whose network is on a server.

Any thread may use it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_sam2.checkpoints import config_from_json
from napari_sam2.network.sam2 import outline
from napari_sam2.remote.channel import Channel
from napari_sam2.remote.messages import Fields, Message
from napari_sam2.remote.remote_engine import RemoteEngine
from napari_sam2.remote.session_spec import ModelSpec
from napari_sam2.remote.stack_file import StackFile
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.settings import TrackingSettings


@dataclass(frozen=True, slots=True)
class RemoteNetwork:
    """Where the network of a model runs: on a server.

    Attributes
    ----------
    channel : Channel
    spec : ModelSpec
    weights_digest : str
    device : str
        The server's.
    source : StackFile or None
        The file of the stacks, for a server that sees it too.
    """

    channel: Channel
    spec: ModelSpec
    weights_digest: str
    device: str
    source: StackFile | None = None

    @property
    def place(self) -> str:
        """Address of the server and its device."""
        return f"{self.device} of {self.channel.url}"

    def engine(
        self, model: Model, stack: FrameStack, settings: TrackingSettings, keep_logits: bool
    ) -> RemoteEngine:
        """Return the engine of one session."""
        known = (self.spec, self.weights_digest)
        return RemoteEngine(self.channel, known, model, stack, settings, keep_logits, self.source)


def remote_model(
    channel: Channel,
    name: str,
    image_size: int | None,
    precision: str,
    source: StackFile | None = None,
) -> Model:
    """Return a model of a server; its network here is an outline without weights.

    Raises
    ------
    RemoteError
        The server does not answer, or has no such model.
    CheckpointError
        It has a network that this version does not know.
    """
    spec = ModelSpec(name, image_size, precision)
    fields = Fields(channel.request("POST", "/v1/model", Message(spec.values())).head)
    config = config_from_json(fields.text("config", 1_000_000))
    there = RemoteNetwork(
        channel, spec, fields.text("weights", 64), fields.text("device", 100), source
    )
    return Model(
        network=outline(config),
        name=fields.text("name", 1000),
        device=torch.device("cpu"),  # of what is computed here: no more than boxes
        image_size=fields.whole("image_size", 32, 8192),
        half=fields.truth("half"),
        elsewhere=there,
    )
