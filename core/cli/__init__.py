"""The `cfa` command. `main` is its entry point; what a command does stands apart from how it is typed."""
