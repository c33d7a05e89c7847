"""Configuration of the documentation's build: `make docs` writes the site into `docs/_build`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

project = "navsim"
project_copyright = "the navsim authors; map data © OpenStreetMap contributors, ODbL 1.0"
author = "the navsim authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated_pages"]
exclude_patterns = ["_build", "_ext", "_figures"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # they turn the dashes of options into others

# Types stand in the signatures; text and order are those of the source.
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_use_type_comments = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries = False

html_theme = "furo"
html_title = "navsim"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "default"
pygments_dark_style = "github-dark"
