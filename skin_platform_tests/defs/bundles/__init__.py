"""Tests of the room ``bundles``."""
