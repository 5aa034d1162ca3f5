"""Publish a model, trained first if need be, on the Hub: `python trainer/push.py --help`."""

import sys

from trainer.cli.command import is_main_process, run_command
from trainer.cli.flags import Command
from trainer.cli.run_settings import read_push_config
from trainer.cli.trained_folder import check_settings, trained_folder
from trainer.monitoring.phases import PHASES, Phase, next_phase, run_phases

COMMAND = Command(
    "push.py",
    "Publish a run's model on the Hugging Face Hub, trained first if need be.",
    "--run-dir runs/first --repo-id USER/NAME",
)
COMPARE = Phase("compare with the published model")
UPLOAD, UPLOAD_SPACE = Phase("upload"), Phase("upload the Space")


def main(arguments: list[str]) -> None:
    """Train if there is no finished run; upload its folder; print the address."""
    config = read_push_config(arguments, COMMAND)
    hub = config.hub
    check_settings(config.train)
    uploads = [COMPARE, UPLOAD] * bool(hub.repo_id) + [UPLOAD_SPACE] * bool(hub.space_id)
    after = next_phase()
    PHASES.plan([*run_phases(config.train.data, config.train.run.run_dir), *uploads, *after])
    if hub.repo_id:
        # Imported late: the Hub's client takes a second, which --help need not wait for.
        from trainer.publishing.hub.preflight import check_can_push

        # Check name and token before hours of training.
        check_can_push(hub.repo_id, hub.space_id, private=hub.private)
    folder = trained_folder(config.train)
    # Under `accelerate launch`, all processes train and one uploads.
    if not is_main_process():
        return
    from trainer.cli.summary import summary

    print(summary(folder, published=bool(hub.repo_id)), file=sys.stderr)
    if hub.repo_id:
        from trainer.promotion.promotion import compare_with_published
        from trainer.publishing.hub import upload

        PHASES.start(COMPARE.name)
        replaced = compare_with_published(
            folder.parent, hub.repo_id, replace_better=hub.replace_better
        )
        PHASES.start(UPLOAD.name)
        print(
            upload.publish_model(
                folder,
                hub.repo_id,
                private=hub.private,
                space_id=hub.space_id,
                replaced=replaced,
            )
        )
        if hub.space_id:
            PHASES.start(UPLOAD_SPACE.name)
            print(upload.publish_space(hub.repo_id, hub.space_id, private=hub.private))
    else:
        print(folder)
    for phase in after:
        PHASES.start(phase.name)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
