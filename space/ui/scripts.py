"""JavaScript of the page, which Gradio runs in the browser."""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parent
# Each runs once for its component, which it finds as `element`.
TAKE_FILES = (_FOLDER / "page.js").read_text(encoding="utf-8")
ZOOM = (_FOLDER / "viewer.js").read_text(encoding="utf-8")
SAY_WAIT = (_FOLDER / "waiting.js").read_text(encoding="utf-8")
FADE = (_FOLDER / "heatmap.js").read_text(encoding="utf-8")
# Gradio's own gr.Examples can't fill a gr.Image without server-side rendering
# (https://github.com/gradio-app/gradio/issues/12893).
SEND_CLICKED_EXAMPLE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('click', {index: Number(button.dataset.index)});
});
"""
ANNOUNCE_CHANGES = "element.setAttribute('role', 'status');"
# A new image makes the heatmap on the page wrong.
REMOVE_HEATMAP = "() => ''"


def showing(panel: str) -> str:
    """Return a function that shows a panel without the server."""
    return f"() => {json.dumps(panel)}"
