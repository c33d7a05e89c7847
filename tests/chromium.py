"""A browser without a window, to see whether pages fit a screen."""

import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PROBE = "<script>document.body.dataset.widths = `${document.documentElement.scrollWidth} ${innerWidth}`</script>"


def page_widths(page: Path, width: int, folder: Path) -> tuple[int, int]:
    """How wide a page becomes in a window of that width, and how wide that window really was [px]."""
    assert CHROMIUM is not None
    probe = folder / f"probe-{width}.html"
    text = page.read_text().replace("<details", "<details open").replace("</body>", f"{_PROBE}</body>")
    probe.write_text(text)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += [f"--window-size={width},1600", "--hide-scrollbars", "--dump-dom", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'data-widths="(\d+) (\d+)"', done.stdout)
    assert found is not None
    return int(found[1]), int(found[2])
