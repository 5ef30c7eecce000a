"""Tests of the room ``ml``."""
