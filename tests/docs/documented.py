"""What README and the guide show: commands, Python and YAML in fenced blocks; what the workflow runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md")), ROOT / "docs" / "localization.md"]


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a page in one of the languages, in order."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[str]:
    """Yield the commands of a page, without their comments."""
    for block in blocks(page, "sh", "bash", "console"):
        for line in block.splitlines():
            command = re.split(r"(?:^|\s)#", line)[0].strip()
            if command:
                yield command


def workflow_commands() -> Iterator[str]:
    """Yield the commands of the workflow that tests the project on other systems."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


def program_words(command: str) -> list[str] | None:
    """Return what follows `navsim` in a command, also where a script stands for it; None for another program."""
    words = command.split()
    if words[0] == "navsim":
        return words[1:]
    for i, word in enumerate(words):
        script = re.fullmatch(r"scripts/(\w+)\.py", word)
        if script is not None:
            return [script[1].replace("_", "-"), *words[i + 1 :]]
    return None
