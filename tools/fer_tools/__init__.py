"""Checks and tools of fer-serve. Each module or package here but `main` and `shared` is a command of `tools/fer`.

A command has a docstring (its help), `arguments(parser)`, and `run(arguments) -> int` (the exit code). What it imports at
the top must come with Python; `run` imports the rest, because it runs in the command's virtual environment.
"""
