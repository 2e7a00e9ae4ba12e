"""The command ``napari-sam2 models``, which lists and downloads models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2._text_table import table_lines
from napari_sam2.cli.common import JsonOption
from napari_sam2.segmentation.session_runner import INTERRUPTED_EXIT_CODE

if TYPE_CHECKING:
    from napari_sam2.checkpoints import ModelInfo

app = typer.Typer(
    help="List the models, or download one.", rich_markup_mode=None, add_completion=False
)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the models, or download one."""
    if context.invoked_subcommand is None:
        list_models(as_json)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models: which are here, how large they are, what they are good for."""
    from napari_sam2.checkpoints import MODELS, cache_folder

    if as_json:
        typer.echo(json.dumps([_facts(info) for info in MODELS], indent=2))
        return
    for line in table_lines(("", "", "", "", ""), map(_row, MODELS), left=5):
        typer.echo(line)
    typer.echo("\n* is on this machine.")
    typer.echo(f"Downloaded models lie in {cache_folder()} (NAPARI_SAM2_CACHE changes that).")
    typer.echo("Fetch one with: napari-sam2 models download NAME")


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="A name that `napari-sam2 models` lists.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            help="Where to put the file, instead of the cache folder; a model elsewhere than "
            "in the cache folder is used by its path.",
        ),
    ] = None,
    allow_unknown_hash: Annotated[
        bool,
        typer.Option(
            "--allow-unknown-hash",
            help="Accept a file whose SHA-256 is not the one listed, and remember it.",
        ),
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="Folder of a mirror that holds the file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a model; an interrupted download goes on where it stopped."""
    from napari_sam2.checkpoints import download_model, get_model_info, read_record

    info = get_model_info(name)
    try:
        with _bar(info.title, hidden=as_json) as progress:
            path = download_model(
                name,
                folder=folder,
                progress=progress,
                allow_unknown_hash=allow_unknown_hash,
                base_url=base_url,
            )
    except KeyboardInterrupt:
        typer.echo(
            "Stopped. What has arrived is kept: the same command goes on from there.", err=True
        )
        raise typer.Exit(INTERRUPTED_EXIT_CODE) from None
    record = read_record(path)
    if as_json:
        facts = {
            "name": name,
            "path": str(path),
            "size_bytes": path.stat().st_size,
            "sha256": record.sha256 if record else None,
            "vouched_by": record.voucher.value if record else None,
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"{info.title}: {path}")
    if record:
        typer.echo(f"SHA-256 {record.sha256} (vouched for by: {record.voucher.value})")


def _facts(info: ModelInfo) -> dict[str, str | int | None]:
    from napari_sam2.checkpoints import find_model_file, model_path

    found = find_model_file(info.name)
    return {
        "name": info.name,
        "title": info.title,
        "description": info.description,
        "installed": found is not None,
        "path": str(model_path(info)),
        "url": info.url,
        "size_bytes": found.stat().st_size if found else info.size_bytes,
        "parameters": info.parameters,
        "licence": info.licence,
        "sha256": info.sha256,
    }


def _row(info: ModelInfo) -> tuple[str, ...]:
    facts = _facts(info)
    mark = "*" if facts["installed"] else ""
    size = facts["size_bytes"]
    megabytes = f"{size / 1e6:.0f} MB" if isinstance(size, int) else ""
    return mark, info.name, f"{megabytes:>7}", info.licence, info.description


@contextmanager
def _bar(title: str, *, hidden: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show a download on stderr if it is a terminal; yield the function that updates the bar."""
    from tqdm import tqdm

    with tqdm(
        desc=title, unit="B", unit_scale=True, unit_divisor=1000, disable=hidden or None
    ) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
