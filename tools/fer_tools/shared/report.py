"""How a check ends, and the checks of a command in the order of their files."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Failed(Exception):
    """What is checked does not do what it should."""


class Skipped(Exception):
    """Something that the check needs is not on this machine."""


class Check(NamedTuple):
    """One check: its name and its function, which returns the figures it measured."""

    name: str
    run: Callable


CHECKS: list[Check] = []


def check(name: str) -> Callable:
    """Adds a function to the list of checks under this name."""

    def add(function: Callable) -> Callable:
        CHECKS.append(Check(name, function))
        return function

    return add


def require(condition: object, message: str) -> None:
    """Fails the check with this message unless the condition holds."""
    if not condition:
        raise Failed(message)


def run_all(context: object, only: list[str]) -> int:
    """Runs the checks, prints a line for each, returns the exit code."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, function in CHECKS:
        if only and not any(part in name for part in only):
            continue
        started = time.monotonic()
        try:
            outcome, text = "passed", function(context) or ""
        except Skipped as skipped:
            outcome, text = "skipped", f"*** SKIPPED: {skipped}"
        except Failed as failed:
            outcome, text = "failed", f"*** FAILED: {failed}"
        except Exception as error:  # a check that breaks has not passed
            outcome, text = "failed", f"*** FAILED: {type(error).__name__}: {error}"
        counts[outcome] += 1
        print(f"{outcome:7} {time.monotonic() - started:6.1f} s  {name}: {text}", flush=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; NaN if there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")
