"""The command answers quickly, and its errors are one clean line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
import typer

from napari_sam2 import __version__
from napari_sam2.cli import main
from napari_sam2.cli.main import app
from napari_sam2.errors import StackError
from napari_sam2.segmentation.stack_job import SegmentOptions


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


def test_help_lists_the_subcommands(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for name in ("demo", "segment", "evaluate", "train", "models", "serve"):
        assert name in shown


@pytest.mark.parametrize("name", ["demo", "segment", "evaluate", "train", "models", "serve"])
def test_every_subcommand_explains_itself(name, capsys):
    assert run(name, "--help") == 0
    assert f"napari-sam2 {name}" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "model"), [("segment", "bundled"), ("batch", None)])
def test_commands_have_all_options_of_a_stack_with_their_defaults(name, model):
    command = typer.main.get_command(app).commands[name]
    defaults = {each.name: each.default for each in command.params}
    for each in fields(SegmentOptions):
        expected = model if each.name == "model" else each.default
        assert (defaults[each.name] or ()) == (expected or ()), each.name


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"napari-sam2 {__version__}"


def test_wrong_usage_is_exit_code_two(capsys):
    assert run("segment") == 2
    assert run("transmogrify") == 2
    assert run("evaluate", "here", "--prompt", "telepathy") == 2
    shown = capsys.readouterr().err
    assert "transmogrify" in shown
    assert "telepathy" in shown


def test_an_error_is_one_clean_line_and_exit_code_one(tmp_path, capsys):
    stack, prompts = tmp_path / "missing.tif", tmp_path / "clicks.csv"
    arguments = ("segment", str(stack), "-p", str(prompts), "-o", str(tmp_path / "out.tif"))
    assert run(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("napari-sam2: error: ")
    assert "missing.tif" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("place", [0, 7])
def test_debug_lets_the_error_through(tmp_path, place):
    arguments = ["segment", str(tmp_path / "missing.tif"), "-p", "p.csv", "-o", "out.tif"]
    arguments.insert(min(place, len(arguments)), "--debug")
    with pytest.raises(StackError, match=r"missing\.tif"):
        main(arguments)


def test_help_loads_neither_torch_nor_napari():
    program = (
        "import sys\n"
        "from napari_sam2.cli import main\n"
        "for arguments in ['--help'], ['segment', '--help'], ['evaluate', '--help']:\n"
        "    try:\n"
        "        main(arguments)\n"
        "    except SystemExit as ended:\n"
        "        assert ended.code == 0, arguments\n"
        "print(sorted({'torch', 'napari', 'scipy', 'zarr', 'qtpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
