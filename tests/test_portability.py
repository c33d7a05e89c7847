"""What only some systems have is used behind a guard: by rule, in an imitation of Windows, and branch by branch."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from navsim.errors import StorageError
from navsim.parallel import available_cores, run_units
from navsim.storage import atomic_folder, linked_folder, write_text
from tests.imitated_windows import ATTRIBUTES, MODULES, OtherSys

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("navsim", "agents", "scripts", "examples") for path in (ROOT / folder).rglob("*.py")]
ARGUMENTS = {"creationflags", "pass_fds", "preexec_fn", "process_group", "start_new_session", "startupinfo", "umask"}
"""Arguments of `subprocess.Popen` that some systems refuse."""


def asks_for_the_system(scope: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.platform")
        or (isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr")
        for node in ast.walk(scope)
    )


def nodes_by_scope(tree: ast.Module) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Yield the module and its functions, each with the nodes that belong to no inner function."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.Module):
            inner, nodes = list(ast.iter_child_nodes(scope)), list[ast.AST]()
            while inner:
                nodes.append(inner.pop())
                inner += [] if isinstance(nodes[-1], ast.FunctionDef) else ast.iter_child_nodes(nodes[-1])
            yield scope, nodes


def needs_a_system(node: ast.AST) -> bool:
    """Whether a node uses what only some systems have."""
    if isinstance(node, ast.Import):
        return any(name.name in MODULES for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in MODULES
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr in ATTRIBUTES.get(node.value.id, ())
    if isinstance(node, ast.keyword):
        return node.arg in ARGUMENTS
    return isinstance(node, ast.Call) and name_of(node) == "get_context" and "('fork" in ast.unparse(node)


def depends_on_the_locale(node: ast.AST) -> bool:
    """Whether a node reads or writes text in the encoding that the system prefers."""
    if not isinstance(node, ast.Call) or "encoding" in (keywords := {keyword.arg for keyword in node.keywords}):
        return False
    if name_of(node) in ("Popen", "run", "check_output"):
        return bool(keywords & {"text", "universal_newlines"})
    is_binary = any(isinstance(each, ast.Constant) and "b" in str(each.value) for each in node.args)
    if name_of(node) == "open":
        return not is_binary and ast.unparse(node.func) not in ("os.open", "Picture.open")
    return isinstance(node.func, ast.Attribute) and name_of(node) in ("read_text", "write_text")


def name_of(call: ast.Call) -> str:
    """Return the last part of what is called."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", 1),
        ("from resource import getrusage", 1),
        ("if sys.platform != 'win32':\n    import resource", 0),
        ("def f():\n    return os.sched_getaffinity(0)\nhasattr(os, 'fork')", 1),
        ("def f():\n    return os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else 1", 0),
        ("os.kill(pid, signal.SIGKILL)", 1),
        ("subprocess.Popen(words, start_new_session=True)", 1),
        ("multiprocessing.get_context('forkserver')", 1),
        ("multiprocessing.get_context('spawn')", 0),
        ("signal.signal(signal.SIGINT, handler)", 0),
    ],
)
def test_the_rule_finds_what_has_no_guard(source: str, found: int) -> None:
    assert len(unguarded(ast.parse(source))) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.open('rb')", False),
        ("open(name, 'w')", True),
        ("subprocess.run(words, text=True)", True),
        ("subprocess.run(words, encoding='utf-8')", False),
    ],
)
def test_the_rule_finds_text_in_the_encoding_of_the_system(source: str, found: bool) -> None:
    assert any(map(depends_on_the_locale, ast.walk(ast.parse(source)))) == found


def unguarded(tree: ast.Module) -> list[str]:
    """Return what only some systems have and a function or the module uses without asking for the system."""
    return [
        ast.unparse(node)
        for scope, nodes in nodes_by_scope(tree)
        for node in nodes
        if needs_a_system(node) and not asks_for_the_system(scope)
    ]


def test_what_only_some_systems_have_is_guarded_and_text_is_utf_8() -> None:
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert unguarded(tree) == [], path
        assert [ast.unparse(node) for node in ast.walk(tree) if depends_on_the_locale(node)] == [], path


def program(folder: Path, *commands: str) -> str:
    """Run commands of the program in a process that imitates Windows, as do its workers; return its output."""
    lines = [
        "import sys",
        "from tests.imitated_windows import imitate_windows",
        "imitate_windows()",
        "from agents.commands.main import run_named",
        "def run(*words):",
        "    sys.argv = [*words]",
        "    try: run_named(words[0])",
        "    except SystemExit as end: assert not end.code, end.code",
        "if __name__ == '__main__':",
        *(f"    run(*{command.split()!r})" for command in commands),
    ]
    (folder / "program.py").write_text("\n".join(lines), encoding="utf-8")
    words = [sys.executable, "program.py"]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SMALL = """
simulation:
  renderer: tiny
  cameras: [{width: 32, height: 32}]
  map: {size_px: 20, ego_row: 14}
  rules: {slowest_mean_speed: 200.0, spare_time: 1.0}
"""


@pytest.mark.linux
@pytest.mark.slow
def test_an_imitated_windows_collects_trains_evaluates_and_films(tmp_path: Path) -> None:
    (tmp_path / "collect.yaml").write_text(f"{SMALL}train_towns: 1\nvalidation_towns: 1\nroutes_per_town: 1\n")
    (tmp_path / "evaluate.yaml").write_text(f"{SMALL}routes: 1\nlane_routes: 1\ntowns: 1\nfilm: false\n")
    said = program(
        tmp_path,
        "collect --config collect.yaml --out data --workers 2",
        "train --data data --run-dir run --epochs 1 --policy.hidden 16 --storage mapped --pictures 0 --device cpu",
        "evaluate --config evaluate.yaml --out results --driver run/best.safetensors expert --workers 2",
        "watch --driver expert --out picture.png --simulation.renderer tiny",
    )
    assert "recorded 2 drives" in said
    assert "best: epoch 1" in said
    assert "all scores:" in said
    assert "picture.png: 1 picture" in said
    assert len(list((tmp_path / "results" / "drives").rglob("*.parquet"))) == 4


def test_all_cores_count_where_the_system_does_not_limit_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert available_cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def make_square(_: str) -> Callable[[int], int]:
    return square


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_work_is_done_by_new_processes_where_the_system_is_not_linux(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("parallel", "subprocesses"):
        monkeypatch.setattr(f"navsim.{module}.sys", OtherSys(system))
    with run_units(make_square, "", [2, 3], 2) as finished:
        assert sorted(item.result for item in finished) == [4, 9]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is Windows, as far as the stored files are concerned."""
    monkeypatch.setattr("navsim.storage.sys", OtherSys("win32"))


def refuse(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Path]:
    """Have the first attempts to rename fail, as on Windows while a program has the file open."""
    replace, attempts = Path.replace, list[Path]()

    def refused(path: Path, target: Path) -> Path:
        attempts.append(path)
        if len(attempts) <= times:
            raise PermissionError(13, "The process cannot access the file")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr("navsim.storage._RENAME_PAUSES", (0.0, 0.0, 0.0))
    return attempts


@pytest.mark.usefixtures("windows")
def test_a_file_that_is_open_elsewhere_is_replaced_a_little_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a.txt", "old")
    attempts = refuse(monkeypatch, times=3)
    write_text(tmp_path / "a.txt", "new")
    assert len(attempts) == 4
    assert (tmp_path / "a.txt").read_text() == "new"
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "b.txt").touch()
    assert (tmp_path / "folder" / "b.txt").exists()


@pytest.mark.usefixtures("windows")
def test_a_file_that_stays_open_elsewhere_is_named_and_keeps_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a.txt", "old")
    refuse(monkeypatch, times=100)
    with pytest.raises(StorageError, match=r"a\.txt: cannot be written: The process cannot access the file"):
        write_text(tmp_path / "a.txt", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_elsewhere_a_refusal_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = refuse(monkeypatch, times=1)
    with pytest.raises(StorageError):
        write_text(tmp_path / "a.txt", "new")
    assert len(attempts) == 1


def test_a_link_that_git_wrote_as_a_file_leads_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "navsim").mkdir()
    (tmp_path / "navsim" / "configs").write_text("../configs", encoding="utf-8", newline="\n")
    assert linked_folder(tmp_path / "navsim" / "configs") == tmp_path / "configs"
    assert linked_folder(tmp_path / "configs") == tmp_path / "configs"
    assert linked_folder(tmp_path / "none") == tmp_path / "none"
