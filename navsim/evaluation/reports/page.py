"""Pages from templates: one file with everything in it, styles and pictures included."""

from base64 import b64encode
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from navsim.visualization.palette import css_variables


def render(template: str, **values: Any) -> str:
    """Render a template of this package.

    Args:
        template: Name of the template's file.
        values: Values of the template; a missing one is an error, and text is escaped.
    """
    return _environment().get_template(template).render(**values)


def data_uri(kind: str, data: bytes) -> str:
    """Return a file as an address that contains it.

    Args:
        kind: Media type, such as `image/webp`.
        data: Content of the file.
    """
    return f"data:{kind};base64,{b64encode(data).decode()}"


def templates_of(package: str) -> Environment:
    """Return the templates of a package; text is escaped, and a missing value is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = templates_of("navsim.evaluation.reports")
    style = f"{css_variables()}\n{environment.get_template('style.css').render()}"
    environment.globals["style"] = Markup(style)  # noqa: S704 - our own file
    return environment
