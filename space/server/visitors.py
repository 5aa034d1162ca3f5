"""Bounds on Gradio's records of visitors who left.

A server runs for months. Gradio stores the state of each session, unread results, a record of each
event, and the name of each upload.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gradio.routes import file_upload_statuses
from gradio.state_holder import SessionState, StateHolder

if TYPE_CHECKING:
    import gradio as gr

# Sessions whose state Gradio holds; a few kilobytes each.
SESSIONS = 1000
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
        # Every 10 events Gradio computes statistics with pandas; the page that shows them is off.
        self._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize

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


class Session(SessionState):
    """The state of a session, without what the visitor last sent and saw.

    For links to a page's state, which are off, Gradio describes all components again in each
    session, and stores each input and output: 8 ms and up to 10 MB.

    Args:
        app: the page.
    """

    def __init__(self, app: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=app.default_config, blocks={}))  # type: ignore[arg-type]

    def _update_config(self, key: int) -> None:
        """Store nothing."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Store nothing."""


class Sessions(StateHolder):
    """The sessions of a page.

    Args:
        app: the page.
    """

    def __init__(self, app: gr.Blocks) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(app)
        self.capacity = SESSIONS

    def __getitem__(self, session_id: str) -> SessionState:
        """Return the state of a session, which may be new."""
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)


def _drop_oldest(entries: dict[str, Any], count: int) -> None:
    for key in list(entries)[: max(0, count)]:
        del entries[key]
