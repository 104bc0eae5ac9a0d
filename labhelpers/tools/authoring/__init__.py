"""Manuscript to notebook: built, run, proven, measured."""
