"""A YAML document that remembers on which line each key stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.errors import ConfigError, nearest

Path_ = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A parsed YAML mapping with the line of every key.

    Parameters
    ----------
    file
        Path as it is shown to a person.
    content
        The plain mapping.
    lines
        Line number (from 1) by key path.
    """

    file: str
    content: dict[str, Any]
    lines: dict[Path_, int]

    def line_of(self, path: Sequence[str | int]) -> int | None:
        """Line of a key, or of its nearest parent that stands in the file."""
        for end in range(len(path), 0, -1):
            line = self.lines.get(tuple(path[:end]))
            if line is not None:
                return line
        return None

    def error(self, path: Sequence[str | int], fault: str) -> ConfigError:
        """Build the error for a key of this document."""
        key = ".".join(str(part) for part in path)
        return ConfigError(fault, file=self.file, key=key, line=self.line_of(path))

    def parse(self, schema: type[M]) -> M:
        """Read the document into a frozen pydantic model.

        Raises
        ------
        ConfigError
            The first fault, with file, line, key, and the nearest valid key.
        """
        try:
            return schema.model_validate(self.content)
        except ValidationError as error:
            # A misspelt key shows as a missing one too; the misspelling says more.
            first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
            path = _real_path(first["loc"], self)
            raise self.error(path, _fault(first, path, schema)) from error


def read_document(path: Path) -> Document:
    """Read a YAML file whose top is a mapping.

    Raises
    ------
    ConfigError
        The file is absent, is not YAML, holds a key twice, or is no mapping.
    """
    if not path.is_file():
        raise ConfigError("the file does not exist", file=str(path))
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        line = mark.line + 1 if mark else None
        raise ConfigError(f"this is not YAML: {problem}", file=str(path), line=line) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the file is not UTF-8 ({error.reason})", file=str(path)) from error
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("the file must hold a mapping of keys to values", file=str(path))
    lines: dict[Path_, int] = {}
    _note_lines(node, (), lines, str(path))
    content = yaml.SafeLoader("").construct_document(node)
    return Document(file=str(path), content=content, lines=lines)


def _note_lines(node: yaml.Node, path: Path_, lines: dict[Path_, int], file: str) -> None:
    """Walk the nodes and note where each key stands; a key twice is refused."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                raise ConfigError(
                    f"the key stands twice, first on line {lines[here]}",
                    file=file,
                    key=".".join(str(part) for part in here),
                    line=line,
                )
            lines[here] = line
            _note_lines(value, here, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            _note_lines(item, (*path, index), lines, file)


def _real_path(loc: Sequence[str | int], document: Document) -> Path_:
    """Drop what pydantic adds to a location (union tags) and YAML does not have."""
    path: Path_ = ()
    for part in loc:
        trial = (*path, part)
        if trial in document.lines or part == loc[-1]:
            path = trial
    return path


def _fault(error: ErrorDetails, path: Path_, schema: type[BaseModel]) -> str:
    """Say in a sentence what is wrong with a key."""
    if error["type"] == "extra_forbidden":
        known = _keys_at(schema, error["loc"][:-1])
        return f"this key is not known.{nearest(str(path[-1]), known)} Known: {', '.join(known)}."
    if error["type"] == "missing":
        return "this key is needed and is missing"
    message = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{message}{shown}"


def _keys_at(schema: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Names of the keys that are valid at a location of a schema."""
    current: Any = schema
    for part in loc:
        current = _step(current, part)
        if current is None:
            return []
    return sorted(current.model_fields) if hasattr(current, "model_fields") else []


def _step(current: Any, part: str | int) -> Any:
    """Go one location part down in the annotations of a schema."""
    if hasattr(current, "model_fields"):
        field = current.model_fields.get(part)
        return _choices(field.annotation) if field is not None else None
    if isinstance(current, dict):
        return current.get(part) or current.get("*")
    return current


def _choices(annotation: Any) -> Any:
    """Find the model, or the models by their tag, inside an annotation."""
    if hasattr(annotation, "model_fields"):
        return annotation
    arguments = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
    if not arguments:
        return None
    tagged = {
        tag: a
        for a in arguments
        if "kind" in a.model_fields
        for tag in get_args(a.model_fields["kind"].annotation)
    }
    return tagged or {"*": arguments[0]}
