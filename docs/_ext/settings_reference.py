"""Reference pages of all settings, written from the dataclasses that are their schema.

Each command has a page with its own settings and the groups that it alone uses; groups that several commands
share stand together on one more page. Nothing here knows the project: commands come in as dataclasses.
"""

import ast
import dataclasses
import enum
import inspect
import itertools
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from navsim.tables import Table

SHARED = "shared"
"""Name of the page of what several commands use."""


@dataclass(frozen=True)
class Setting:
    """One field of a group of settings, as Markdown."""

    name: str
    """Its name in YAML; options have dashes for underscores."""
    kind: str
    """Its type and limits."""
    default: str
    """What it is if it is not given."""
    text: str
    """What it means."""


def settings_of(group: type) -> list[Setting]:
    """Return the fields of a dataclass in order."""
    hints = get_type_hints(group, include_extras=True)
    texts = field_texts(group)
    return [
        Setting(field.name, kind_text(hints[field.name]), default_text(field), texts.get(field.name, ""))
        for field in dataclasses.fields(group)
        if field.init
    ]


def field_texts(group: type) -> dict[str, str]:
    """Return the string under each field in a dataclass's source, inherited fields included."""
    texts: dict[str, str] = {}
    for base in reversed(group.__mro__):
        if dataclasses.is_dataclass(base):
            source = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(base))).body[0])
            texts |= dict(_documented(source.body))
    return texts


def _documented(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield names and texts of annotated fields that a string follows."""
    for field, after in itertools.pairwise(body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(text))):
                yield name, " ".join(text.split())


def kind_text(hint: Any) -> str:
    """Return a type as Markdown; groups of settings link to where they are described."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = ", ".join(filter(None, map(limit_text, _unpacked(parts[1:]))))
        return kind_text(parts[0]) + (f", {limits}" if limits else "")
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(kind_text(part) for part in parts)
    if origin is tuple and parts[-1] is Ellipsis:
        return f"list of {kind_text(parts[0])}"
    if origin is tuple:
        return f"list of {len(parts)}: {', '.join(map(kind_text, parts))}"
    if origin is not None:
        return f"{origin.__name__} of {', '.join(map(kind_text, parts))}"
    if hint is type(None):
        return "none"
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        return f"[{hint.__name__}](#{label(hint)})"
    return f"{_PLAIN.get(hint, getattr(hint, '__name__', str(hint)))}"


_PLAIN = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path"}


def _unpacked(metadata: Sequence[Any]) -> Iterator[Any]:
    """Yield annotations, with those that a pydantic `Field` holds in its place."""
    for mark in metadata:
        yield from getattr(mark, "metadata", [mark])


def limit_text(mark: Any) -> str:
    """Return a constraint such as `annotated_types.Gt(0)` in words, or nothing for another annotation."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "min_length": "at least, in length,"}
    return " and ".join(
        f"{word} {getattr(mark, name)}" for name, word in words.items() if getattr(mark, name, None) is not None
    )


def default_text(field: "dataclasses.Field[Any]") -> str:
    """Return a field's default as Markdown: a value as YAML writes it, nothing where the group itself has defaults."""
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    elif field.default is dataclasses.MISSING:
        return "required"
    else:
        default = field.default
    if groups_in(type(default)) or (isinstance(default, tuple) and any(map(dataclasses.is_dataclass, default))):
        return "see there" if default else "none"
    return value_text(default)


def value_text(value: Any) -> str:
    """Return a plain value as Markdown."""
    if value is None:
        return "none"
    if isinstance(value, enum.Enum):
        return value_text(value.value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return ", ".join(map(value_text, value)) if value else "empty"
    return f"`{value}`" if str(value) else "empty"


def groups_in(hint: Any) -> list[type]:
    """Return the dataclasses that a type names, itself included."""
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        return [hint]
    return [group for part in get_args(hint) for group in groups_in(part)]


def paths_below(root: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """Yield all groups within a command's settings with their dotted paths, parents first."""
    hints = get_type_hints(root, include_extras=True)
    for field in dataclasses.fields(root):
        for group in groups_in(hints[field.name]):
            yield f"{prefix}{field.name}", group
            yield from paths_below(group, f"{prefix}{field.name}.")


def uses(commands: Mapping[str, type]) -> dict[type, dict[str, list[str]]]:
    """Return for each group which commands hold it, under which paths."""
    found: dict[type, dict[str, list[str]]] = {}
    for command, root in commands.items():
        for path, group in paths_below(root):
            paths = found.setdefault(group, {}).setdefault(command, [])
            if path not in paths:
                paths.append(path)
    return found


def label(group: type) -> str:
    """Return the anchor of a group's section."""
    return f"settings-{group.__name__.lower()}"


def group_section(group: type, where: Mapping[str, Sequence[str]]) -> str:
    """Return a group's section: what it is, where it is used, and its fields as a table."""
    lines = [f"({label(group)})=", f"## {group.__name__}", "", summary(group), ""]
    if where:
        used = "; ".join(f"{', '.join(f'`{path}`' for path in paths)} of {name}" for name, paths in where.items())
        lines += [f"Used as {used}.", ""]
    return "\n".join([*lines, *table(settings_of(group))]) + "\n"


def summary(group: type) -> str:
    """Return the first paragraph of a class's docstring, without line breaks."""
    return " ".join((inspect.getdoc(group) or "").split("\n\n")[0].split())


def table(settings: Sequence[Setting]) -> list[str]:
    """Return settings as the lines of a Markdown table, whose class the site's style sheet knows."""
    rows = [(f"`{s.name}`", s.kind, s.default, s.text) for s in settings]
    made = Table(("setting", "type", "default", "meaning"), rows, text_columns=4)
    return [":::{table}", ":class: settings", "", made.markdown(), ":::"]


def settings_pages(commands: Mapping[str, type]) -> dict[str, str]:
    """Return the pages of the reference by name: one for each command, and one for what they share."""
    where = {group: used for group, used in uses(commands).items() if group not in commands.values()}
    pages = {
        command: command_page(command, root, {g: w for g, w in where.items() if list(w) == [command]})
        for command, root in commands.items()
    }
    shared = {group: w for group, w in where.items() if len(w) > 1}
    head = "# Shared settings\n\nGroups of settings that several commands take.\n\n"
    return pages | {SHARED: head + "\n".join(group_section(group, w) for group, w in shared.items())}


def command_page(command: str, root: type, own: Mapping[type, Mapping[str, Sequence[str]]]) -> str:
    """Return a command's page: its settings, then the groups that no other command has."""
    head = [f"({label(root)})=", f"# {command}", "", f"`navsim {command}`: {summary(root)}", ""]
    body = [group_section(group, where) for group, where in own.items()]
    return "\n".join([*head, *table(settings_of(root)), "", *body])
