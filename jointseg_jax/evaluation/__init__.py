"""Judging what is delivered."""
