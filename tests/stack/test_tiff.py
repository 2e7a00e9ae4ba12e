from __future__ import annotations

import gc
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam2.errors import StackError
from napari_sam2.stack import FrameStack, guess_axes, open_stack
from napari_sam2.stack.file_pixels import FilePixels

RNG = np.random.default_rng(3)
STACK = RNG.integers(0, 4096, (5, 2, 32, 24)).astype(np.uint16)


@pytest.fixture
def quiet_tifffile():
    """tifffile logs the damage that the tests do to files."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


def _imagej(path: Path, **metadata: object) -> Path:
    tifffile.imwrite(path, STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    return path


def test_plain_stack_is_read_in_place(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[:, 0])
    opened = open_stack(tmp_path / "a.tif")
    assert isinstance(opened.data, FilePixels)
    np.testing.assert_array_equal(opened.data, STACK[:, 0])
    assert guess_axes(opened.data.shape, labels=opened.axes).video == 0


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "zlib", "rowsperstrip": 5},
        {"compression": "zlib", "tile": (16, 16)},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "bigtiff": True, "byteorder": ">"},
        {"byteorder": ">"},
        {"tile": (16, 16)},
    ],
)
def test_ways_of_writing_read_alike(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", STACK[:, 0], **options)
    with open_stack(tmp_path / "a.tif") as opened:
        stack = FrameStack(opened.data, contrast=(0, 4096))
        for frame in (4, 0, 2):
            np.testing.assert_array_equal(stack.read(frame)[..., 0], STACK[frame, 0] / 4096)


def test_only_the_pages_of_the_frame_are_decoded(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", STACK[:, 0], compression="zlib")
    with open_stack(tmp_path / "a.tif") as opened:
        stack = FrameStack(opened.data, contrast=(0, 4096))
        decoded = []
        whole = tifffile.TiffPage.asarray

        def counted(page, *args, **kwargs):
            decoded.append(page)
            return whole(page, *args, **kwargs)

        monkeypatch.setattr(tifffile.TiffPage, "asarray", counted)
        monkeypatch.setattr(tifffile.TiffFrame, "asarray", counted)
        stack.read(3)
        assert len(decoded) == 1
        stack.read(0)
        assert len(decoded) == 2


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_colours(tmp_path, planarconfig):
    colours = RNG.integers(0, 256, (4, 32, 24, 3)).astype(np.uint8)
    written = colours if planarconfig == "contig" else np.moveaxis(colours, -1, 1)
    tifffile.imwrite(
        tmp_path / "a.tif",
        written,
        photometric="rgb",
        planarconfig=planarconfig,
        compression="zlib",
    )
    with open_stack(tmp_path / "a.tif") as opened:
        guess = guess_axes(opened.data.shape, labels=opened.axes)
        stack = FrameStack(opened.data, guess.video, channel_axis=guess.channel, contrast=(0, 255))
        assert stack.shape == (4, 32, 24)
        np.testing.assert_array_equal(
            stack.read(2), colours[2].astype(np.float32) / np.float32(255)
        )


def test_imagej_axes_and_spacing(tmp_path):
    path = _imagej(tmp_path / "a.tif", axes="ZCYX", spacing=1.5, unit="um")
    opened = open_stack(path)
    assert opened.axes == "ZCYX"
    assert opened.scale == pytest.approx((1.5, 1, 0.5, 0.25))
    np.testing.assert_array_equal(opened.data, STACK)


@pytest.mark.parametrize(
    ("unit", "factor"), [("nm", 1e-3), ("\\u00B5m", 1), ("micron", 1), ("mm", 1e3), ("furlong", 1)]
)
def test_imagej_units_become_micrometres(tmp_path, unit, factor):
    path = _imagej(tmp_path / "a.tif", axes="ZCYX", spacing=-2.0, unit=unit)
    assert open_stack(path).scale == pytest.approx((2 * factor, 1, 0.5 * factor, 0.25 * factor))


def test_imagej_time(tmp_path):
    path = _imagej(tmp_path / "a.tif", axes="TCYX", finterval=30.0)
    opened = open_stack(path)
    assert opened.axes == "TCYX"
    assert opened.scale[0] == 30


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_axes_and_scale(tmp_path, compression):
    metadata = {
        "axes": "TCYX",
        "TimeIncrement": 2,
        "TimeIncrementUnit": "min",
        "PhysicalSizeX": 250.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.5,
    }
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata=metadata, compression=compression)
    with open_stack(path) as opened:
        assert opened.axes == "TCYX"
        assert opened.scale == pytest.approx((120, 1, 0.5, 0.25))
        np.testing.assert_array_equal(np.asarray(opened.data[3, 1]), STACK[3, 1])


def _two_images(path: Path) -> Path:
    with tifffile.TiffWriter(path, ome=True) as tif:
        for size, step in ((32, 1.0), (16, 3.0)):
            tif.write(
                STACK[:, 0, :size, :size],
                metadata={"axes": "ZYX", "PhysicalSizeZ": step},
                compression="zlib",
            )
    return path


def test_series_are_chosen_with_their_own_scale(tmp_path):
    path = _two_images(tmp_path / "a.ome.tif")
    for series, size, step in ((0, 24, 1.0), (1, 16, 3.0)):
        with open_stack(path, series=series) as opened:
            assert opened.data.shape[-1] == size
            assert opened.scale[0] == step
    with pytest.raises(StackError, match="no series 2: it holds 2"):
        open_stack(path, series=2)


def test_levels_of_a_pyramid_have_coarser_steps(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        options = {"tile": (16, 16), "compression": "zlib"}
        metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tif.write(STACK[:, 0], subifds=1, metadata=metadata, **options)
        tif.write(STACK[:, 0, ::2, ::2], subfiletype=1, **options)
    with open_stack(path, level=1) as opened:
        assert opened.data.shape == (5, 16, 12)
        assert opened.scale == pytest.approx((1, 1, 1))
        np.testing.assert_array_equal(np.asarray(opened.data[2]), STACK[2, 0, ::2, ::2])
    with open_stack(path) as opened:
        assert opened.scale == pytest.approx((1, 0.5, 0.5))
    with pytest.raises(StackError, match="no level 2"):
        open_stack(path, level=2)


def test_damaged_ome_text_leaves_the_pixels_or_is_refused(tmp_path, quiet_tifffile):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata={"axes": "TCYX"}, compression="zlib")
    path.write_bytes(path.read_bytes().replace(b"<Pixels ", b"<Pixels<"))
    with pytest.warns(UserWarning, match="scale is unknown"):
        damaged = open_stack(path)
    with damaged as opened:
        assert set(opened.scale) == {1.0}
        np.testing.assert_array_equal(np.asarray(opened.data[1]), STACK[0, 1])


def test_files_are_let_go(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], compression="zlib")
    opened = open_stack(path)
    opened.data[0]
    opened.close()
    opened.close()
    opened = open_stack(path)
    opened.data[0]
    # An unclosed file would warn here, and pytest turns that into a failure.
    del opened
    gc.collect()


def test_a_file_that_is_refused_is_let_go(tmp_path, quiet_tifffile):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], compression="zlib")
    for _ in range(3):
        with pytest.raises(StackError):
            open_stack(path, series=9)
    gc.collect()


# --- damage -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "tile": (16, 16)},
        {"imagej": True},
        {"ome": True, "compression": "zlib"},
        {"bigtiff": True},
    ],
)
def test_truncated_files_are_refused(tmp_path, quiet_tifffile, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], **options)
    whole = path.read_bytes()
    # The very last bytes may be padding.
    for kept in np.linspace(8, len(whole) - 32, 40).astype(int):
        path.write_bytes(whole[:kept])
        with pytest.raises(StackError) as caught:
            open_stack(path)
        assert caught.value.remedy


def test_damaged_pixels_name_the_frame_and_spare_the_others(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[2].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = b"\xff" * 20
    path.write_bytes(content)
    with open_stack(path) as opened:
        stack = FrameStack(opened.data, contrast=(0, 4096))
        with pytest.raises(StackError, match="Frame 2") as caught:
            stack.read(2)
        assert caught.value.__cause__ is not None
        np.testing.assert_array_equal(stack.read(3)[..., 0], STACK[3, 0] / 4096)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"ome": True}])
def test_any_damage_to_the_head_opens_or_is_a_stack_error(tmp_path, quiet_tifffile, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], **options)
    whole = path.read_bytes()
    rng = np.random.default_rng(11)
    outcomes = {True: 0, False: 0}
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(8, 300, 4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with open_stack(path) as opened:
                guess = guess_axes(opened.data.shape, labels=opened.axes)
                at = dict.fromkeys(guess.other, 0)
                stack = FrameStack(
                    opened.data, guess.video, channel_axis=guess.channel, at=at, contrast=(0, 1)
                )
                stack.read(0)
            outcomes[True] += 1
        except StackError:
            outcomes[False] += 1
    assert all(outcomes.values())


def test_planes_that_were_never_written_read_as_zero_with_a_warning(tmp_path, quiet_tifffile):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK[:, 0], metadata={"axes": "TYX"}, compression="zlib")
    content = path.read_bytes()
    assert content.count(b'SizeT="5"') == 1
    path.write_bytes(content.replace(b'SizeT="5"', b'SizeT="7"'))
    with pytest.warns(UserWarning, match="2 of 7 planes"):
        stopped = open_stack(path)
    with stopped as opened:
        stack = FrameStack(opened.data, contrast=(0, 4096))
        assert stack.n_frames == 7
        assert (stack.read(6) == 0).all()
        np.testing.assert_array_equal(stack.read(4)[..., 0], STACK[4, 0] / 4096)


@pytest.mark.parametrize("codec", ["lzw", "zstd", "packbits"])
def test_compressions_usual_in_microscopy_are_read(tmp_path, codec):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[:, 0], compression=codec, metadata={"axes": "TYX"})
    with open_stack(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened.data[2]), STACK[2, 0])


def test_unknown_compression_says_what_to_install(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0, 0], compression="zlib")
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[0].tags["Compression"].valueoffset
    content = bytearray(path.read_bytes())
    content[place : place + 2] = struct.pack("<H", 32809)  # ThunderScan, which nobody decodes
    path.write_bytes(content)
    with pytest.raises(StackError, match="cannot be decoded") as caught:
        open_stack(path)
    assert "imagecodecs" in caught.value.remedy


def test_a_header_alone_is_refused(tmp_path, quiet_tifffile):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 0))
    with pytest.raises(StackError):
        open_stack(path)


@pytest.mark.parametrize(
    ("metadata", "scale", "units"),
    [
        ({"PhysicalSizeX": 2.0}, (1, 1, 2), ("", "", "micrometer")),
        (
            {"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "cm"},
            (1, 1, 20_000),
            ("", "", "micrometer"),
        ),
        ({"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "pixel"}, (1, 1, 2), ("",) * 3),
        ({"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "reference frame"}, (1, 1, 2), ("",) * 3),
        ({}, (1, 1, 1), ("",) * 3),
    ],
)
def test_ome_units_are_known_or_not_claimed(tmp_path, metadata, scale, units):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK[:, 0], metadata={"axes": "ZYX"} | metadata)
    with open_stack(path) as opened:
        assert (opened.scale, opened.units) == (scale, units)


@pytest.mark.parametrize(
    ("unit", "factor", "known"),
    [("cm", 1e4, "micrometer"), ("pixel", 1, ""), ("", 1, "")],
)
def test_imagej_units_are_known_or_not_claimed(tmp_path, unit, factor, known):
    path = _imagej(tmp_path / "a.tif", axes="ZCYX", spacing=2.0, unit=unit)
    opened = open_stack(path)
    assert opened.scale == pytest.approx((2 * factor, 1, 0.5 * factor, 0.25 * factor))
    assert opened.units == (known, "", known, known)


@pytest.mark.parametrize("unit", ["inch", "in", "Inches"])
def test_imagej_inches_are_no_size(tmp_path, unit):
    """Programs that know nothing of the pixels write 72 of them per inch."""
    opened = open_stack(_imagej(tmp_path / "a.tif", axes="ZCYX", spacing=2.0, unit=unit))
    assert (opened.scale, opened.units) == ((1.0,) * 4, ("",) * 4)


@pytest.mark.parametrize(
    ("unit", "scale", "known"),
    [("CENTIMETER", 5.0, "micrometer"), ("INCH", 1.0, ""), ("NONE", 1.0, "")],
)
def test_a_plain_tiff_has_a_size_in_centimetres_only(tmp_path, unit, scale, known):
    path = tmp_path / "a.tif"
    options = {"resolution": (2000, 2000), "resolutionunit": unit}
    tifffile.imwrite(path, STACK[:, 0], metadata={"axes": "ZYX"}, **options)
    with open_stack(path) as opened:
        assert opened.scale == pytest.approx((1, scale, scale))
        assert opened.units == ("", known, known)
