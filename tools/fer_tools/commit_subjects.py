"""Check the subjects of this branch's commits (a part of `make lint`).

    tools/fer commit-subjects [--base REVISION]

A subject is an imperative ("Add the flag", not "Added" or "Adds") of at most 72 characters, starts with a capital letter
and has no full stop at its end. Merge commits may be called what git calls them. The commits are those since the merge
base with origin/main, or else with main; on main itself it is the last commit (a merge: all that it brought).
"""

import argparse
import subprocess

from fer_tools.shared.project import ROOT

LONGEST = 72
# Imperatives that end like a past tense or a gerund.
IMPERATIVES = {"bring", "cling", "embed", "exceed", "feed", "need", "ping", "proceed", "ring", "seed", "shed", "speed", "wring"}
# Verbs that often begin a subject: their third person ("Adds") is told from a plural ("Docs") by this list.
VERBS = """accept add allow answer apply avoid block bound bump call change check clean close collect compare compute correct count
cover create cut delete derive describe detect disable document drop embed enable end expect explain export extend fail fix fold
give guard handle hold import improve include introduce keep let limit link load log make mark measure merge move name open pack
parse pass pin print prove put raise read record reduce refactor refuse reject release remove rename replace report require restore
return revert run save say send serve set share show simplify skip sort speed split start state stop store support take tell test
time train try turn unify update use validate verify write""".split()


def third_person(verb: str) -> str:
    """fix → fixes, try → tries, add → adds."""
    if verb.endswith(("s", "sh", "ch", "x")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "s"


INFLECTED = {third_person(verb) for verb in VERBS}


def faults(subject: str) -> list[str]:
    """What is wrong with a subject."""
    found = []
    first = (subject.split() or [""])[0].rstrip(",:;").lower()
    if len(subject) > LONGEST:
        found.append(f"it has {len(subject)} characters, at most {LONGEST} are allowed")
    if not subject[:1].isupper():
        found.append("it does not start with a capital letter")
    if subject.endswith("."):
        found.append("it ends with a full stop")
    if first in INFLECTED or (first.endswith(("ed", "ing")) and first not in IMPERATIVES):
        found.append(f"'{first}' is not an imperative")
    return found


def git(*words: str) -> str | None:
    """What git prints; None if it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def base() -> tuple[str, str]:
    """The revision since which commits are checked, and what it is; empty where no commit before HEAD is known."""
    head = git("rev-parse", "--verify", "--quiet", "HEAD")
    for branch in ("origin/main", "main"):
        common = git("merge-base", branch, "HEAD")
        if common and common != head:
            return common, f"since the merge base with {branch}, {common[:12]}"
    parent = git("rev-parse", "--verify", "--quiet", "HEAD^1")
    return (parent, f"since the commit before HEAD, {parent[:12]}") if parent else ("", "HEAD alone: no commit before it is known here")


def subjects(since: str) -> list[tuple[str, str]]:
    """Short hash and subject of the commits since then that are no merges; without it, of HEAD."""
    commits = [f"{since}..HEAD"] if since else ["--max-count=1", "HEAD"]
    lines = git("log", "--no-merges", "--format=%h %s", *commits) or ""
    return [(line.split(" ", 1)[0], line.partition(" ")[2]) for line in lines.splitlines()]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("--base", metavar="REVISION", help="check the commits since this one")


def run(arguments: argparse.Namespace) -> int:
    """Checks, and prints what was compared."""
    if not git("rev-parse", "--verify", "--quiet", "HEAD"):
        print("*** SKIPPED: the commits' subjects, because this is no git checkout with a commit, or git is not installed")
        return 0
    since, what = (arguments.base, f"since {arguments.base}") if arguments.base else base()
    if since and not git("rev-parse", "--verify", "--quiet", f"{since}^{{commit}}"):
        print(f"commit subjects: there is no commit {since}")
        return 2
    checked = subjects(since)
    wrong = [(commit, subject, found) for commit, subject in checked if (found := faults(subject))]
    for commit, subject, found in wrong:
        print(f"commit {commit}: {subject!r}: {'; '.join(found)}")
    print(f"commit subjects: {len(checked)} checked ({what}), {len(wrong)} wrong")
    if wrong:
        print("They are imperatives of at most 72 characters; `git rebase --interactive` (reword) changes them.")
    return 1 if wrong else 0
