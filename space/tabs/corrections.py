"""The form below the answer, by which a visitor corrects it; only where the operator wants it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, get_args

import gradio as gr

# In a Space on the Hub the folder above is the root.
if TYPE_CHECKING or __package__ == "space.tabs":
    from space.demo import UNEXPECTED, Demo
    from space.feedback.desk import CorrectionDesk, Statement, UnknownClassError
    from space.feedback.quota import USED_UP, QuotaError, Visitor
    from space.feedback.record import MOST_NAME_CHARACTERS, MOST_NOTE_CHARACTERS, Kind
    from space.feedback.store import FullError
    from space.inference.predictor import ImageError, ModelError
    from space.server.inputs import EXAMPLE, describe
    from space.ui import correction_form, scripts
else:
    from demo import UNEXPECTED, Demo
    from feedback.desk import CorrectionDesk, Statement, UnknownClassError
    from feedback.quota import USED_UP, QuotaError, Visitor
    from feedback.record import MOST_NAME_CHARACTERS, MOST_NOTE_CHARACTERS, Kind
    from feedback.store import FullError
    from inference.predictor import ImageError, ModelError
    from server.inputs import EXAMPLE, describe
    from ui import correction_form, scripts

logger = logging.getLogger("space")

ENDPOINT = "correct"
# The texts that come with the image, and the most characters of each.
TEXTS = {"kind": 16, "label": MOST_NAME_CHARACTERS, "note": MOST_NOTE_CHARACTERS}
NO_CHOICE = "Say what it is: one of the classes of this model. Load the page again."
FULL = "The storage for corrections is full. Please inform the operator of this page."
DISK = "The server can't store it now. Try again later."


def build(demo: Demo, desk: CorrectionDesk, image: gr.Image) -> None:
    """Lay out the form and connect its events."""
    sender = desk.sender
    kept = correction_form.what_is_kept(
        sender.dataset if sender else None, private=sender is None or sender.private
    )
    form = gr.HTML(
        correction_form.form(desk.labels, kept),
        elem_id="correction",
        js_on_load=correction_form.SEND,
    )
    status = gr.HTML("", elem_id="correction-status", js_on_load=scripts.ANNOUNCE_CHANGES)
    texts = [
        gr.Textbox(label=name, max_length=limit, visible=False) for name, limit in TEXTS.items()
    ]
    for component, example in zip(
        (image, *texts), (EXAMPLE, "class", desk.labels[0], ""), strict=True
    ):
        describe(component, example)

    def correct(
        image: dict[str, Any] | None, kind: str, label: str, note: str, request: gr.Request
    ) -> str:
        """Store what a person says about an image, where the operator wants corrections.

        Args:
            image: the file.
            kind: "class", "several" (defects), "none" (of these classes) or "unusable".
            label: the correct class, where the kind is "class".
            note: a remark, perhaps empty.
            request: of the visitor.
        """
        address = request.client.host if request.client else ""
        visitor = Visitor(request.session_hash or "", address)
        return take(demo, desk, image, (kind, label, note), visitor)

    form.submit(
        correct,
        [image, *texts],
        status,
        js=correction_form.READ,
        preprocess=False,
        trigger_mode="once",
        show_progress="minimal",
        api_name=ENDPOINT,
    )
    image.change(None, image, status, js=correction_form.RESET, api_visibility="private")


def refusal(desk: CorrectionDesk | None, endpoint: str, session: str, address: str) -> str | None:
    """Return why a visitor may send no correction now; None where the Gate lets a call pass."""
    if desk and endpoint == ENDPOINT and desk.quota.is_used_up(Visitor(session, address)):
        return USED_UP
    return None


def take(
    demo: Demo,
    desk: CorrectionDesk,
    upload: dict[str, Any] | None,
    said: tuple[object, object, object],
    visitor: Visitor,
) -> str:
    """Store a correction; return the confirmation, or why it is not stored."""
    try:
        path = demo.uploaded(upload)
        statement = read_statement(*said)
        correction = desk.take(path, demo.read(path), statement, visitor)
    except (ImageError, ModelError, QuotaError) as error:
        return correction_form.problem(str(error))
    except UnknownClassError:
        return correction_form.problem(NO_CHOICE)
    except FullError:
        logger.warning("A correction was refused: %s has reached its limit.", desk.store.folder)
        return correction_form.problem(FULL)
    except OSError as error:
        logger.warning("A correction could not be stored: %s", error)
        return correction_form.problem(DISK)
    # The page is public: the operator gets the traceback, the visitor a message.
    except Exception:
        logger.exception("A correction could not be stored")
        return correction_form.problem(UNEXPECTED)
    return correction_form.sent(correction)


def read_statement(kind: object, label: object, note: object) -> Statement:
    """Return what a visitor says.

    Raises:
        UnknownClassError: it is no kind of correction, or a class is missing.
    """
    for known in get_args(Kind):
        if kind == known:
            break
    else:
        raise UnknownClassError
    named = label if known == "class" and isinstance(label, str) else None
    if known == "class" and not named:
        raise UnknownClassError
    remark = note.strip() if isinstance(note, str) else ""
    return Statement(known, named, remark or None)
