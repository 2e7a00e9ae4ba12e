"""The reference and ours with fresh random weights, and how far they are apart in the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from numpy.typing import ArrayLike
from parity_data import largest_difference

if TYPE_CHECKING:
    from oracle import Pair

_DEFAULT_SEED = 1  # the stored outputs are those of seed 0


class Agreement:
    """Asserts that outputs are equal, and remembers how equal they were."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def check(self, name: str, ours: ArrayLike, theirs: ArrayLike, tolerance: float) -> None:
        """Compare two arrays."""
        difference = largest_difference(ours, theirs)
        self.largest[name] = max(difference, self.largest.get(name, 0.0))
        assert difference < tolerance, name


_AGREEMENT = pytest.StashKey[Agreement]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let anyone try other weights."""
    parser.addoption(
        "--parity-seed",
        type=int,
        default=_DEFAULT_SEED,
        help="seed of the random weights and inputs that both implementations get",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin the record."""
    config.stash[_AGREEMENT] = Agreement()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the record."""
    largest = terminalreporter.config.stash[_AGREEMENT].largest
    if largest:
        terminalreporter.section("largest differences from the reference")
        for name, difference in largest.items():
            terminalreporter.write_line(f"{difference:.1e}  {name}")


@pytest.fixture
def agreement(pytestconfig: pytest.Config) -> Agreement:
    """The record of all differences."""
    return pytestconfig.stash[_AGREEMENT]


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What all random numbers come from."""
    return int(pytestconfig.getoption("parity_seed", default=_DEFAULT_SEED))


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """No gradients."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session", params=["2.1", "2.0"])
def pair(request: pytest.FixtureRequest, seed: int) -> Pair:
    """The tiny model of either version, twice."""
    from oracle import build_pair

    return build_pair(request.param, seed)
