"""Bounds on Gradio's records of visitors who left.

A server runs for months. In addition to session state, which has a setting, Gradio stores unread
results, a record of each event, and the name of each upload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradio.routes import file_upload_statuses

if TYPE_CHECKING:
    import gradio as gr

# Sessions with unread results after the event has ended.
UNREAD_SESSIONS = 500
# Unread messages of one session; an event has about five.
UNREAD_MESSAGES = 64
# Events whose duration Gradio records; it iterates over all of them at the end of each event.
RECORDED_EVENTS = 100
# Uploads whose progress is recorded.
TRACKED_UPLOADS = 100


class Visitors:
    """Limits the records of visitors; use it in the thread of the server's event loop.

    Args:
        app: the page.
    """

    def __init__(self, app: gr.Blocks) -> None:
        self._app = app
        self._queue = app._queue
        self._queue.ANALYTICS_MAX_EVENTS = RECORDED_EVENTS

    def is_behind(self, session: str) -> bool:
        """Return whether a session has too many unread messages to get more."""
        messages = self._queue.pending_messages_per_session.get(session)
        return messages is not None and messages.qsize() > UNREAD_MESSAGES

    def forget(self) -> None:
        """Drop records that are no longer needed."""
        # Gradio can delete files by these names; here files are deleted by age.
        for names in self._app.temp_file_sets:
            names.clear()
        for uploads in (file_upload_statuses._statuses, file_upload_statuses._signals):
            _drop_oldest(uploads, len(uploads) - TRACKED_UPLOADS)
        self._forget_sessions()

    def _forget_sessions(self) -> None:
        messages = self._queue.pending_messages_per_session
        events = self._queue.pending_event_ids_session
        # Gradio sends messages to the sessions of waiting and running events.
        active = {event.session_hash for event in self._queue.event_ids_to_events.values()}
        ended = [session for session in messages if session not in active]
        # Gradio removes an event from these when its result was sent.
        unread = [session for session in ended if events.get(session)]
        for session in {*ended}.difference(unread[-UNREAD_SESSIONS:]):
            del messages[session]
        for session in events.keys() - messages.keys():
            del events[session]


def _drop_oldest(entries: dict[str, Any], count: int) -> None:
    for key in list(entries)[: max(0, count)]:
        del entries[key]
