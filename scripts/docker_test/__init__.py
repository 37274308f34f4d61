"""The parts of scripts/docker-test."""
