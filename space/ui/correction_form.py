"""The HTML of the form that corrects an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rendering import macros

if TYPE_CHECKING or __package__ == "space.ui":
    from space.feedback.record import KINDS, MOST_NOTE_CHARACTERS
else:
    from feedback.record import KINDS, MOST_NOTE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space.feedback.record import Correction

_HTML = macros("correction_form.html.jinja")

# A digit selects a class, except where one types or it zooms; Enter then sends the form.
SEND = """
element.addEventListener('submit', (event) => {
  event.preventDefault();
  trigger('submit');
});
document.addEventListener('keydown', (event) => {
  const form = element.querySelector('form');
  const typing = event.target.closest('input:not([type=radio]), textarea, select');
  const other = event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey;
  if (!form?.checkVisibility() || typing || other) return;
  const choice = /^[1-9]$/.test(event.key)
    && form.querySelectorAll('input[data-kind=class]')[event.key - 1];
  if (!choice) return;
  choice.checked = true;
  choice.focus();
  event.preventDefault();
});
"""
# Takes the place of the values that Gradio would send.
READ = """(image) => {
  const form = document.querySelector('#correction form');
  const choice = form.querySelector('input[name=statement]:checked');
  return [image, choice.dataset.kind, choice.value, form.elements.note.value];
}"""
# Another image is not what was corrected.
RESET = """(image) => {
  const form = document.querySelector('#correction form');
  form.hidden = !image;
  form.reset();
  return '';
}"""


def form(labels: Sequence[str], kept: str) -> str:
    """Return the form; it is hidden until there is an image.

    Args:
        labels: the model's classes.
        kept: sentence on what is stored, and where.
    """
    return str(_HTML.form(labels, list(KINDS.items()), kept, MOST_NOTE_CHARACTERS))


def what_is_kept(dataset: str | None, *, private: bool = True) -> str:
    """Return the sentence on what is stored, and where.

    Args:
        dataset: USER/NAME on the Hub; None for a folder of the server.
        private: whether only the owners of the dataset can read it.
    """
    where = "the operator of this page"
    if dataset:
        who = "private" if private else "public: everyone can see it"
        where = f"the dataset {dataset} on the Hugging Face Hub ({who})"
    return (
        "If you send a correction, this image without its metadata, the model's answer, your "
        f"choice, your note and the time are stored for {where}, to train better models. Nothing "
        "about you is stored; do not write names in the note."
    )


def sent(correction: Correction) -> str:
    """Return the confirmation."""
    return str(
        _HTML.status(
            "sent",
            f"Thank you. Stored: {correction.says}. Send again to replace it; the last one counts.",
        )
    )


def problem(message: str) -> str:
    """Return why a correction is not stored."""
    return str(_HTML.status("problem", f"Not stored. {message}"))
