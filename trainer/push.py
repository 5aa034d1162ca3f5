"""Publish a model, trained first if need be, on the Hub: `python trainer/push.py --help`."""

import sys

from trainer.command_line import (
    check_settings,
    is_main_process,
    read_push_config,
    run_command,
    trained_folder,
)
from trainer.flags import Command

COMMAND = Command(
    "push.py",
    "Publish a run's model on the Hugging Face Hub, trained first if need be.",
    "--run-dir runs/first --repo-id USER/NAME",
)


def main(arguments: list[str]) -> None:
    """Train if there is no finished run, upload what was trained; print where it is."""
    config = read_push_config(arguments, COMMAND)
    hub = config.hub
    check_settings(config.train)
    if hub.repo_id:
        # The Hub's client takes a second to load; --help and wrong options need not wait for it.
        from trainer.hub_checks import check_can_push

        # A wrong name or token should not be found out after hours of training.
        check_can_push(hub.repo_id, hub.space_id, private=hub.private)
    folder = trained_folder(config.train)
    # Under `accelerate launch`, all train and one uploads.
    if not is_main_process():
        return
    if not hub.repo_id:
        print(
            f"Ready to publish; look at {folder / 'README.md'} and then run\n"
            f"  python trainer/push.py --run-dir {folder.parent} --repo-id USER/NAME",
            file=sys.stderr,
        )
        print(folder)
        return
    from trainer import publish

    print(publish.publish_model(folder, hub.repo_id, private=hub.private))
    if hub.space_id:
        print(publish.publish_space(hub.repo_id, hub.space_id, private=hub.private))


if __name__ == "__main__":
    sys.exit(run_command(main))
