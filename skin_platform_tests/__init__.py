"""Tests: what the house promises."""
