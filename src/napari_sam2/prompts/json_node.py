"""A value read from JSON that knows its place in the file, for errors that name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from napari_sam2.errors import PromptError

Kind = TypeVar("Kind", int, float, bool, str)

_NAMES = {
    int: "a whole number",
    bool: "true or false",
    str: "text",
    list: "a list [...]",
    dict: "an object {...}",
}


@dataclass(frozen=True, slots=True)
class JsonNode:
    """One value of a JSON file and where it stands, such as ``prompts[3].box``."""

    value: object
    place: str

    def whole_number(self) -> int:
        """Return the value as an int."""
        return self._of(int)

    def number(self) -> float:
        """Return the value as a float."""
        return float(self.value) if type(self.value) is float else float(self._of(int))

    def truth(self) -> bool:
        """Return the value as a bool."""
        return self._of(bool)

    def text(self) -> str:
        """Return the value as a str."""
        return self._of(str)

    def items(self) -> list[JsonNode]:
        """Return the values of a list."""
        if type(self.value) is not list:
            raise self._not_a(list)
        return [JsonNode(value, f"{self.place}[{at}]") for at, value in enumerate(self.value)]

    def fields(self) -> dict[str, JsonNode]:
        """Return the values of an object by name."""
        if type(self.value) is not dict:
            raise self._not_a(dict)
        prefix = f"{self.place}." if self.place else ""
        return {name: JsonNode(value, prefix + name) for name, value in self.value.items()}

    def error(self, complaint: str, remedy: str) -> PromptError:
        """Return the error that names this place."""
        return PromptError(f"{self.place or 'The file'} {complaint}", remedy=remedy)

    def _of(self, kind: type[Kind]) -> Kind:
        # type() rather than isinstance(): in Python, true is also the whole number 1.
        if type(self.value) is not kind:
            raise self._not_a(kind)
        return self.value

    def _not_a(self, kind: type) -> PromptError:
        found = repr(self.value)
        found = found if len(found) <= 40 else found[:37] + "..."
        return self.error(f"must be {_NAMES[kind]}, not {found}.", "Correct it in the file.")
