"""The tab with the scores and figures that were measured on test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

# In a Space on the Hub the folder above is the root.
if TYPE_CHECKING or __package__ == "space.tabs":
    from space.demo import Demo
    from space.ui import page
else:
    from demo import Demo
    from ui import page

TITLE = "Results"
ID = "results"


def build(demo: Demo) -> None:
    """Lay out the tab."""
    gr.HTML(page.scores_table(demo.report), js_on_load=None, elem_id="scores")
    gr.HTML("".join(demo.figures), js_on_load=None, elem_id="figures")
