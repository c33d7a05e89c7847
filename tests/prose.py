"""The prose of the project and the rules that it keeps: `python -m tests.prose navsim/roads docs` lists violations."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_SENTENCE_WORDS = 40
"""Longest sentence [words]."""
MIN_FIELD_WORDS = 3
"""Shortest documentation of a dataclass's field [words]."""

BANNED = {
    r"anew": "again",
    r"besides": "too, also",
    r"none of an?": "not valid",
    r"so many-?th": "the n-th",
    r"so many": "the number of",
    r"at the wheel": "driving",
    r"comes? along": "is included",
    r"looked at": "read, examined",
    r"looks? like nothing": "",
    r"in vain": "without improvement",
    r"who(so)?ever": "name the thing",
    r"by the hand of": "by",
    r"lays? (it |them )?(over|ready|by)": "overlays, stores",
    r"laid (over|ready|by|down)": "overlaid, stored",
    r"is told of": "name the thing",
    r"told (apart|relative)": "distinguished, relative",
    r"makes? nothing of": "ignores",
    r"of anyone'?s": "external",
    r"anyone'?s": "an external",
    r"takes? up": "starts with, adopts",
    r"hands? (it )?back": "returns",
    r"whence|whither|thereof|whereof|hitherto|henceforth|ere": "plain words",
    r"crews?|exams?|shelf|reels?|veil(ed)?|pupils?|entrants?|contests?": "the field's word",
    r"is no [a-z]+": "is not a ...",
    r"are no [a-z]+": "are not ...",
    r"worth a look|worth looking": "",
    r"as ever|ever after": "",
}
"""Patterns that the prose does not use, with what to write in their place."""
_BANNED = re.compile(r"\b(" + "|".join(f"(?:{pattern})" for pattern in BANNED) + r")\b", re.IGNORECASE)


@dataclass(frozen=True)
class Passage:
    """A piece of prose in a file."""

    path: Path
    """File that holds the passage."""
    line: int
    """Line on which the passage begins, counted from 1."""
    text: str
    """Prose, with its line breaks."""


def passages(path: Path) -> Iterator[Passage]:
    """All prose of a Python, YAML, Markdown or HTML file: docstrings, comments, messages of errors, text."""
    if path.suffix == ".py":
        source = path.read_text()
        yield from _docstrings(path, ast.parse(source))
        yield from _messages(path, ast.parse(source))
        yield from _comments(path, source)
    elif path.suffix in {".yaml", ".yml"}:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (found := re.search(r"(?:^|\s)#\s?(.*)", line)) is not None:
                yield Passage(path, number, found[1])
    elif path.suffix == ".md":
        yield from _markdown(path)


def violations(path: Path) -> list[str]:
    """One line for each place in a file whose prose breaks a rule."""
    found = []
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    for passage in passages(path):
        where = f"{shown}:{passage.line}"
        plain = re.sub(r"`[^`]*`", "code", passage.text)
        found += [f"{where}: {match[0]!r}" for match in _BANNED.finditer(plain)]
        for sentence in sentences(plain):
            if (count := len(sentence.split())) > MAX_SENTENCE_WORDS:
                found.append(f"{where}: {count} words in one sentence: {' '.join(sentence.split()[:8])} ...")
    if path.suffix == ".py":
        found += [
            f"{shown}:{line}: {text!r} says too little of the field {name}"
            for name, text, line in field_docs(ast.parse(path.read_text()))
            if len(text.split()) < MIN_FIELD_WORDS
        ]
    return found


def sentences(text: str) -> list[str]:
    """Split prose into sentences; blank lines, list items, rows of tables and sections of docstrings end one, too."""
    blocks = re.split(
        r"\n\s*\n|\n\s*(?=[-*]\s)|\n\s*(?=\w[\w.*, ]*:\s)|\n\s*(?=\||(?:Args|Returns|Raises|Yields):)", text
    )
    return [part for block in blocks for part in re.split(r"(?<=[.!?:;])\s+", block) if part.strip()]


def field_docs(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """The documentation of dataclass fields: name, text and line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            continue
        for entry, doc in zip(node.body, node.body[1:], strict=False):
            if isinstance(entry, ast.AnnAssign) and _is_text(doc):
                assert isinstance(doc, ast.Expr)
                assert isinstance(doc.value, ast.Constant)
                yield ast.unparse(entry.target), str(doc.value.value), doc.lineno


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _docstrings(path: Path, tree: ast.Module) -> Iterator[Passage]:
    """Docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if _is_text(statement):
                yield Passage(path, statement.lineno, str(statement.value.value))


def _messages(path: Path, tree: ast.Module) -> Iterator[Passage]:
    """Texts of the errors that are raised."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for text in ast.walk(node.exc):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield Passage(path, text.lineno, text.value)


def _comments(path: Path, source: str) -> Iterator[Passage]:
    """Comments; lines that follow each other are one passage."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# type:", "# noqa")):
            yield Passage(path, token.start[0], token.string.lstrip("# "))


def _markdown(path: Path) -> Iterator[Passage]:
    """Paragraphs of Markdown, without code and tables."""
    text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), path.read_text(), flags=re.DOTALL)
    line = 1
    for block in re.split(r"(\n\s*\n)", text):
        prose = "\n".join(row for row in block.split("\n") if not row.lstrip().startswith(("|", "#", "<", "!", ":")))
        if prose.strip():
            yield Passage(path, line, prose)
        line += block.count("\n")


def prose_files(places: list[Path]) -> list[Path]:
    """All files with prose in folders and among files."""
    kinds = (".py", ".yaml", ".md")
    found = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return [file for file in found if file.suffix in kinds and "_build" not in file.parts]


if __name__ == "__main__":
    lines = [line for file in prose_files([Path(word).resolve() for word in sys.argv[1:]]) for line in violations(file)]
    print(*lines, f"{len(lines)} violations", sep="\n")
