"""The tab with the scores and figures that were measured on test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

# In a Space on the Hub the folder above is the root.
if TYPE_CHECKING or __package__ == "space.tabs":
    from space.demo import Demo
    from space.ui import page, results
else:
    from demo import Demo
    from ui import page, results

TITLE = "Results"
ID = "results"


def build(demo: Demo) -> None:
    """Lay out the tab."""
    gr.HTML(results.results(demo.report), js_on_load=None, elem_id="results")
    scores = page.scores_table(demo.report) if demo.report else ""
    gr.HTML(results.folded(scores, demo.figures), js_on_load=None, elem_id="more-results")
