"""Checks of the server as those who run it see it."""
