"""``python -m pipeline.plots_page``: the page that `dvc plots` fills, with Vega inside it.

DVC's own page loads Vega from the web. ``plots.html_template`` in ``.dvc/config`` names this one instead, so that
`dvc plots show` and `dvc plots diff` work without a network. Run it again after an update of vl-convert-python.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import vl_convert

from himoe.core.files import write_text

PAGE = Path(".dvc/plots_page.html")
VEGA_LITE = "5.21"  # DVC's chart templates are written in Vega-Lite 5
SNIPPET = "window.vegaEmbed = vegaEmbed;"
FILLED_BY_DVC = ("{refresh_tag}", "{plot_divs}")  # dvc_render.html replaces them by str.replace

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>DVC plots</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem; color: #1a1a1a; background: #fff; }
body > div { overflow-x: auto; margin-bottom: 1.5rem; }
img { max-width: 100%; }
</style>
<script>
"""
_TAIL = """
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def plots_page() -> str:
    """The page: Vega, Vega-Lite and Vega-Embed inlined, DVC's placeholders open."""
    bundle = vl_convert.javascript_bundle(SNIPPET, VEGA_LITE).replace("</script", r"<\/script")
    held = [name for name in (*FILLED_BY_DVC, "{scripts}") if name in bundle]
    if held:
        raise ValueError(f"the JavaScript bundle holds {', '.join(held)}, which DVC would replace")
    return _HEAD + bundle + _TAIL


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m pipeline.plots_page", description=f"Write {PAGE}.").parse_args()
    write_text(PAGE, plots_page())
