"""Publish a model, trained first if need be, on the Hub: `python trainer/push.py --help`."""

import sys

from trainer.command_line import read_push_config, run_command


def main(arguments: list[str]) -> None:
    """Train if there is no finished run, upload what was trained; print where it is."""
    config = read_push_config(arguments)
    # torch takes seconds to load; --help and wrong flags need not wait for it.
    from accelerate import PartialState

    from trainer import publish, run
    from trainer.hub_checks import check_can_push

    hub = config.hub
    if hub.repo_id:
        # A wrong name or token should not be found out after hours of training.
        check_can_push(hub.repo_id, hub.space_id, private=hub.private)
    folder = run.train(config.train)
    # Under `accelerate launch`, all train and one uploads.
    if not PartialState().is_main_process:
        return
    if not hub.repo_id:
        print(
            f"Ready to publish; look at {folder / 'README.md'} and then run\n"
            f"  python trainer/push.py --run-dir {folder.parent} --repo-id USER/NAME",
            file=sys.stderr,
        )
        print(folder)
        return
    print(publish.publish_model(folder, hub.repo_id, private=hub.private))
    if hub.space_id:
        print(publish.publish_space(hub.repo_id, hub.space_id, private=hub.private))


if __name__ == "__main__":
    sys.exit(run_command(main))
