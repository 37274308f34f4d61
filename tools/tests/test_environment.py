"""Tests of tools/fer: its commands, and the virtual environments that pyproject.toml describes."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

if sys.version_info < (3, 10):
    raise unittest.SkipTest("Python 3.10 is needed")

from fer_tools import main
from fer_tools.shared import environment


class CommandsTest(unittest.TestCase):
    def test_each_has_a_help(self) -> None:
        for name in main.commands():
            with contextlib.redirect_stdout(io.StringIO()) as printed, self.assertRaises(SystemExit) as ended:
                main.main([name, "--help"])
            self.assertEqual(ended.exception.code, 0)
            self.assertIn(f"tools/fer {name}", printed.getvalue())

    def test_unknown_ones_are_rejected(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(main.main(["nothing"]), 2)
            with self.assertRaises(SystemExit) as ended:
                main.main(["release-notes", "0.1.0", "--what"])
        self.assertEqual(ended.exception.code, 2)

    def test_each_environment_belongs_to_a_command(self) -> None:
        self.assertLessEqual(set(environment.extras()) - {"bench"}, set(main.commands()))


class EnvironmentTest(unittest.TestCase):
    def test_another_list_gets_another_folder(self) -> None:
        before = environment.folder("deploy-test")
        with mock.patch.dict(environment.extras(), {"deploy-test": ["PyYAML==1"]}):
            self.assertNotEqual(environment.folder("deploy-test"), before)

    def test_a_folder_is_filled_once_and_after_an_interruption_again(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            home, calls = Path(folder) / "a" / "b", []

            def fetch(home: Path) -> None:
                calls.append(home)
                home.mkdir(parents=True)
                if len(calls) == 1:
                    (home / "half").touch()
                    raise KeyboardInterrupt

            with self.assertRaises(KeyboardInterrupt):
                environment.once(home, fetch)
            self.assertEqual(environment.once(home, fetch), home)
            self.assertEqual(environment.once(home, fetch), home)
            self.assertEqual((len(calls), (home / "half").exists()), (2, False))


if __name__ == "__main__":
    unittest.main()
