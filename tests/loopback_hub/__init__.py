"""A Hugging Face Hub on 127.0.0.1, for tests: the real clients push and download over HTTP.

It speaks the part of the Hub's protocol that `huggingface_hub`, `timm` and `datasets` use for
repositories, and is itself independent of them. `python -m tests.loopback_hub` runs it alone.
"""

from tests.loopback_hub.server import LoopbackHub
from tests.loopback_hub.storage import Commit, Kind, Repo

__all__ = ["Commit", "Kind", "LoopbackHub", "Repo"]
