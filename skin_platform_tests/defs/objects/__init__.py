"""Tests of the room ``objects``."""
