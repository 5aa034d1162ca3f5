"""The server from its start to a signal: what runs beside the page."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest

from space import app


def test_uploads_are_cleaned_while_the_page_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    page, uploads = MagicMock(), MagicMock()
    for name in ("Decoder", "Demo", "launch", "configured_port"):
        monkeypatch.setattr(app, name, MagicMock())
    predictor = MagicMock()
    predictor.load.return_value.facts.multi_label = False
    monkeypatch.setattr(app, "Predictor", predictor)
    monkeypatch.setattr(app, "configured_model_id", lambda: "local-dir:model")
    monkeypatch.setattr(app, "build_app", lambda demo: page)
    waiting = MagicMock()
    waiting.return_value.wait.side_effect = KeyboardInterrupt
    monkeypatch.setattr("threading.Event", waiting)
    with pytest.raises(KeyboardInterrupt):
        app.serve(uploads)
    uploads.clean_regularly.assert_called_once_with()
    page.close.assert_called_once_with(verbose=False)
    # Uploads are read by processes with limits, not by the server.
    limited = app.Decoder.return_value.__enter__.return_value  # type: ignore[attr-defined]
    assert app.Demo.call_args.args[3] is limited.read  # type: ignore[attr-defined]
