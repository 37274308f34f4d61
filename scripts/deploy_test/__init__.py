"""The parts of scripts/deploy-test."""
