"""A browser without a window, to see whether pages fit a screen."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PROBE = """<!doctype html><iframe style="border:0" width="{width}" height="1600" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const inside = document.querySelector("iframe").contentWindow
  document.body.dataset.widths = `${{inside.document.documentElement.scrollWidth}} ${{inside.innerWidth}}`
}}</script>"""


def page_widths(page: Path, width: int, folder: Path) -> tuple[int, int]:
    """How wide a page becomes in a frame of that width, and how wide that frame really was [px].

    In a frame, since a window of Chromium is at least 500 px wide.
    """
    assert CHROMIUM is not None
    probe = folder / f"probe-{width}.html"
    text = page.read_text().replace("<details", "<details open")
    probe.write_text(_PROBE.format(width=width, page=escape(text)))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--window-size=1400,1800", "--hide-scrollbars", "--dump-dom", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r'data-widths="(\d+) (\d+)"', done.stdout)
    assert found is not None
    return int(found[1]), int(found[2])
