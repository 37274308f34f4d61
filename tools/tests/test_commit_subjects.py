"""Tests of the rules for commit subjects, and of which commits they are applied to in several kinds of checkout."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path
from unittest import mock

if sys.version_info < (3, 10):
    raise unittest.SkipTest("Python 3.10 is needed")

from fer_tools import commit_subjects


class RulesTest(unittest.TestCase):
    def test_good_subjects(self) -> None:
        for subject in (
            "Add a flag for the number of workers",
            "Release 0.1.0",
            "Embed the detector's model",
            "Need no libtorch for the tests of fer-image",
            "Bring the examples up to date",
            "Process images of one request together",
            "Name the crates, " + "x" * 55,
        ):
            self.assertEqual(commit_subjects.faults(subject), [], subject)

    def test_each_rule(self) -> None:
        for subject, fault in (
            ("add a flag", "capital"),
            ("", "capital"),
            ("docs: name the flag", "capital"),
            ("Add a flag.", "full stop"),
            ("Name the crates, " + "x" * 56, "73 characters"),
            ("Added a flag", "'added'"),
            ("Adding: a flag", "'adding'"),
            ("Adds a flag", "'adds'"),
            ("Fixes a flag", "'fixes'"),
            ("Tries a flag", "'tries'"),
            ("Says a flag", "'says'"),
        ):
            found = commit_subjects.faults(subject)
            self.assertEqual(len(found), 1, (subject, found))
            self.assertIn(fault, found[0])


class CommitsTest(unittest.TestCase):
    """A repository whose first commit on main is older than the rules."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.repository = self.folder / "first"
        outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        patched = mock.patch.dict("os.environ", {**outside, "GIT_CONFIG_GLOBAL": "/dev/null"}, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
        self.git("init", "--quiet", "--initial-branch=main", str(self.repository), at=self.folder)
        self.commit("older than the rules, and with a full stop.")

    def git(self, *words: str, at: "Path | None" = None) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *words]
        return subprocess.run(command, cwd=at or self.repository, capture_output=True, text=True, check=True).stdout

    def commit(self, subject: str) -> None:
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)

    def clone(self, *options: str) -> Path:
        """A clone of what is checked out, through the transport that honours --depth."""
        target = self.folder / f"clone{len(list(self.folder.iterdir()))}"
        self.git("clone", "--quiet", *options, f"file://{self.repository}", str(target), at=self.folder)
        return target

    def check(self, at: "Path | None" = None, base: "str | None" = None) -> "tuple[int, str]":
        with mock.patch.object(commit_subjects, "ROOT", at or self.repository):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                code = commit_subjects.run(Namespace(base=base))
        return code, printed.getvalue()

    def test_a_branch_is_compared_with_main(self) -> None:
        self.git("switch", "--quiet", "--create", "work")
        self.commit("Add one thing")
        self.commit("Add another thing")
        code, text = self.check()
        self.assertEqual((code, "2 checked (since the merge base with main," in text), (0, True), text)
        self.commit("added a third")
        code, text = self.check()
        self.assertEqual((code, "3 checked" in text, "'added a third'" in text), (1, True, True), text)

    def test_a_clone_is_compared_with_its_origin(self) -> None:
        clone = self.clone()
        self.git("commit", "--quiet", "--allow-empty", "--message", "Adds a thing", at=clone)
        code, text = self.check(clone)
        self.assertEqual((code, "1 checked (since the merge base with origin/main," in text), (1, True), text)

    def test_main_itself_is_compared_with_the_commit_before(self) -> None:
        self.commit("Add one thing")
        for at in (self.repository, self.clone()):
            code, text = self.check(at)
            self.assertEqual((code, "1 checked (since the commit before HEAD," in text), (0, True), text)

    def test_a_merge_is_checked_by_what_it_brings(self) -> None:
        self.git("switch", "--quiet", "--create", "work")
        self.commit("Add one thing")
        self.commit("adds another")
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", "merges may be called anything.", "work")
        code, text = self.check()
        self.assertEqual((code, "2 checked" in text, "merges" in text), (1, True, False), text)

    def test_a_detached_head(self) -> None:
        self.commit("Add one thing")
        self.git("checkout", "--quiet", "--detach")
        self.commit("Add another thing")
        code, text = self.check()
        self.assertEqual((code, "1 checked (since the merge base with main," in text), (0, True), text)

    def test_a_shallow_clone_checks_its_only_commit(self) -> None:
        self.commit("Add one thing")
        code, text = self.check(self.clone("--depth=1"))
        self.assertEqual((code, "1 checked (HEAD alone" in text), (0, True), text)

    def test_a_base_can_be_named(self) -> None:
        self.commit("added one")
        self.commit("Add another")
        self.assertEqual(self.check(base="HEAD^")[0], 0)
        self.assertEqual(self.check(base="HEAD^^")[0], 1)
        self.assertEqual(self.check(base="nowhere")[0], 2)

    def test_without_a_repository_it_is_skipped(self) -> None:
        with mock.patch.dict("os.environ", {"GIT_CEILING_DIRECTORIES": str(self.folder)}):
            code, text = self.check(self.folder)
        self.assertEqual((code, text.startswith("*** SKIPPED")), (0, True), text)


if __name__ == "__main__":
    unittest.main()
