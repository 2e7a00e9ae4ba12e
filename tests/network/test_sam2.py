"""The whole network: sizes, batches, absence, and the differences between the versions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_data import Draws, largest_difference
from reference_weights import random_network
from small_networks import small_config

from napari_sam2.network import OFFICIAL_CONFIGS, Sam2, upsample_masks


@settings(max_examples=10, deadline=None)
@given(blocks=st.integers(1, 6), batch=st.integers(1, 2))
def test_any_multiple_of_32_will_do(network: Sam2, blocks: int, batch: int) -> None:
    size, grid = 32 * blocks, 2 * blocks
    with torch.inference_mode():
        features = network.encode_image(Draws(blocks)(batch, 3, size, size))
        assert features.stride4.shape == (batch, 4, size // 4, size // 4)
        assert features.stride8.shape == (batch, 8, size // 8, size // 8)
        assert features.stride16.shape == (batch, 32, grid, grid)
        assert features.position.shape == (1, 32, grid, grid)
        conditioned = network.without_memory(features.stride16)
        found = network.predict_masks(conditioned, features.stride8, features.stride4)
        memory = network.encode_memory(
            features.stride16, torch.ones(batch, 1, size, size), torch.ones(batch, 1)
        )
        memories = memory.flatten(2).transpose(1, 2)
        position = network.memory_position(grid, grid, slot=0)
        later = network.attend_memory(features.stride16, features.position, memories, position, 0)
    assert found.masks.shape == (batch, 1, size // 4, size // 4)
    assert memory.shape == (batch, 16, grid, grid)
    assert later.shape == features.stride16.shape
    assert torch.isfinite(found.masks).all()
    assert torch.isfinite(later).all()


def test_frames_of_a_batch_do_not_mix(network: Sam2) -> None:
    images = Draws(3)(3, 3, 64, 64)
    together = network.encode_image(images)
    for index in range(3):
        alone = network.encode_image(images[index : index + 1])
        for name in ("stride4", "stride8", "stride16", "position"):
            ours = getattr(together.frame(index), name)
            assert largest_difference(ours, getattr(alone, name)) < 1e-4


def test_what_objects_of_a_frame_share_is_what_each_computes(network: Sam2) -> None:
    draw = Draws(12)
    features = network.encode_image(draw(1, 3, 64, 64))
    memory, where = draw(3, 16 + 4, 16), draw(3, 16 + 4, 16)

    def attend(which: slice, **shared: torch.Tensor) -> torch.Tensor:
        return network.attend_memory(
            features.stride16, features.position, memory[which], where[which], 4, **shared
        )

    opened = network.open_memory(features.stride16, features.position)
    alone = torch.cat([attend(slice(index, index + 1)) for index in range(3)])
    apart = [attend(slice(index, index + 1), opened=opened) for index in range(3)]
    assert torch.equal(torch.cat(apart), alone)
    assert largest_difference(attend(slice(3)), alone) < 1e-5


def test_objects_of_a_batch_do_not_mix(small: Sam2) -> None:
    draw = Draws(4)
    features = small.encode_image(draw(1, 3, 64, 64))
    conditioned = draw(3, 32, 4, 4)
    points = 64 * draw(3, 2, 2).sigmoid()
    labels = torch.tensor([[1, 0], [2, 3], [1, -1]])
    masks = draw(3, 1, 16, 16)

    def predict(objects: slice) -> torch.Tensor:
        return small.predict_masks(
            conditioned[objects],
            features.stride8,
            features.stride4,
            points=points[objects],
            point_labels=labels[objects],
            mask_inputs=masks[objects],
            multimask=True,
        ).masks

    together = predict(slice(None))
    for index in range(3):
        one = slice(index, index + 1)
        assert largest_difference(together[one], predict(one)) < 1e-4


def test_memories_of_a_batch_do_not_mix(small: Sam2) -> None:
    draw = Draws(5)
    features, masks = draw(1, 32, 4, 4), draw(2, 1, 64, 64).sigmoid()
    present = torch.tensor([[1.0], [0.0]])
    together = small.encode_memory(features, masks, present)
    for index in range(2):
        one = slice(index, index + 1)
        alone = small.encode_memory(features, masks[one], present[one])
        assert largest_difference(together[one], alone) < 1e-4


def test_no_prompt_is_a_padding_point(small: Sam2) -> None:
    features = small.encode_image(Draws(6)(1, 3, 64, 64))
    maps = (features.stride16, features.stride8, features.stride4)
    nothing = small.predict_masks(*maps)
    padded = small.predict_masks(
        *maps, points=torch.full((1, 1, 2), 17.0), point_labels=torch.tensor([[-1]])
    )
    assert torch.equal(nothing.masks, padded.masks)


def test_without_memory_adds_its_embedding(small: Sam2) -> None:
    features = Draws(7)(2, 32, 4, 4)
    added = small.without_memory(features) - features
    assert largest_difference(added[1, :, 2, 3], small.no_mem_embed[0, 0]) < 1e-6


def test_pointers_of_absent_objects_are_one_vector(small: Sam2) -> None:
    tokens = Draws(8)(2, 32)
    pointers = small.object_pointers(tokens, torch.tensor([[1.0], [0.0]]))
    assert torch.equal(pointers[1], small.no_obj_ptr[0])
    alone = small.object_pointers(tokens[:1], torch.ones(1, 1))
    assert largest_difference(pointers[:1], alone) < 1e-5
    assert not torch.allclose(pointers[0], small.no_obj_ptr[0])


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_memories_of_absent_objects_get_an_embedding_in_21(version: str) -> None:
    network = random_network(small_config(version=version))
    draw = Draws(9)
    features, mask = draw(1, 32, 4, 4), draw(1, 1, 64, 64).sigmoid()
    there = network.encode_memory(features, mask, torch.ones(1, 1))
    gone = network.encode_memory(features, mask, torch.zeros(1, 1))
    if version == "2.0":
        assert torch.equal(there, gone)
    else:
        added = (gone - there)[0, :, 1, 2]
        assert largest_difference(added, network.no_obj_embed_spatial[0]) < 1e-5


def test_memory_gets_scaled_probabilities(small: Sam2) -> None:
    features, mask = Draws(10)(1, 32, 4, 4), torch.full((1, 1, 64, 64), 0.75)
    ours = small.encode_memory(features, mask, torch.ones(1, 1))
    assert torch.equal(ours, small.memory_encoder(features, 20 * mask - 10))


def test_memory_slots_differ_by_their_temporal_encoding(small: Sam2) -> None:
    first, last = (small.memory_position(4, 4, slot) for slot in (0, 6))
    difference = (small.maskmem_tpos_enc[6] - small.maskmem_tpos_enc[0]).expand(1, 16, 16)
    assert largest_difference(last - first, difference) < 1e-6


def test_pointer_positions_are_zero_before_21() -> None:
    ages = torch.tensor([0.0, 0.5, -1.0])
    assert not random_network(small_config(version="2.0")).pointer_position(ages).any()
    newer = random_network(small_config(version="2.1")).pointer_position(ages)
    assert newer.shape == (3, 16)
    assert not torch.allclose(newer[1], newer[2])


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), value=st.floats(-20, 20, width=32))
def test_upsampling_keeps_constants_and_range(height: int, width: int, value: float) -> None:
    constant = upsample_masks(torch.full((1, 2, 4, 4), value), height, width)
    assert constant.shape == (1, 2, height, width)
    assert largest_difference(constant, torch.full_like(constant, value)) < 1e-5
    masks = Draws(11)(1, 2, 4, 4)
    resized = upsample_masks(masks, height, width)
    assert resized.min() >= masks.min() - 1e-6
    assert resized.max() <= masks.max() + 1e-6


def test_upsampling_aligns_borders_not_centres() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert upsample_masks(ramp, 4, 8)[0, 0, 0].tolist() == [
        0,
        0.25,
        0.75,
        1.25,
        1.75,
        2.25,
        2.75,
        3,
    ]


def test_official_configs_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        OFFICIAL_CONFIGS["sam2.1-tiny"] = OFFICIAL_CONFIGS["sam2-tiny"]  # type: ignore[index]
    assert len(OFFICIAL_CONFIGS) == 8
    assert OFFICIAL_CONFIGS["sam2.1-large"].pointer_tokens == 4
