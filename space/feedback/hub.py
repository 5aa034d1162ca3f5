"""The way of corrections to a dataset on the Hub."""

from __future__ import annotations

import logging
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import CommitScheduler

from .store import CORRECTIONS, IMAGES

if TYPE_CHECKING or __package__ == "space.feedback":
    from space.inference.core.errors import shortened
    from space.server.configuration import StartError
else:
    from inference.core.errors import shortened
    from server.configuration import StartError

logger = logging.getLogger("space")

INTERVAL_MINUTES = 5.0
LAST_COMMIT_S = 60.0


class HubSender:
    """Sends the files of a folder to a dataset, several in one commit; starts at once.

    What can't be sent stays in the folder and goes with the next commit, also of a later server.
    Names of files are unique, so several Spaces can send to one dataset.

    Args:
        dataset: USER/NAME; created as a private dataset if it does not exist.
        folder: of a `Store`.

    Raises:
        StartError: the dataset can't be opened.
    """

    def __init__(self, dataset: str, folder: Path) -> None:
        self.dataset = dataset
        try:
            self.scheduler = CommitScheduler(
                repo_id=dataset,
                repo_type="dataset",
                folder_path=folder,
                every=INTERVAL_MINUTES,
                private=True,
                # Neither the key of the threads nor partial files.
                allow_patterns=[f"{CORRECTIONS}/*.json", f"{IMAGES}/*.png"],
            )
            info = self.scheduler.api.repo_info(dataset, repo_type="dataset")
        # The client raises errors of three libraries here; the advice is the same for all.
        except Exception as error:
            raise StartError(
                f"FEEDBACK_DATASET: the dataset {dataset} can't be opened on the Hub: "
                f"{shortened(error)}\nCheck the name, the network, and that HF_TOKEN may write."
            ) from error
        self.private = bool(info.private)

    def close(self) -> None:
        """Send what is left, then stop."""
        try:
            self.scheduler.trigger().result(LAST_COMMIT_S)
        except FutureTimeoutError:
            self._keep("the Hub did not answer in time")
        # As above; the corrections are safe in the folder.
        except Exception as error:
            self._keep(shortened(error))
        finally:
            self.scheduler.stop()

    def _keep(self, reason: str) -> None:
        logger.warning(
            "Corrections could not be sent to %s: %s\nThey stay in %s and are sent after the next "
            "start.",
            self.dataset,
            reason,
            self.scheduler.folder_path,
        )
