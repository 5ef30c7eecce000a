"""Tests of the room ``raw``."""
