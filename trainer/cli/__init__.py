"""The command line: flags, help, errors and the summary that commands print."""
