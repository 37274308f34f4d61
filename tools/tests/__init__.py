"""Unit tests of tools/, run by `make test`."""
