"""Helpers for a four-week, hands-on course in fine-tuning language models.

Importing this package costs nothing: every module loads its heavy libraries when a function needs them.
"""

__version__ = "0.1.0"
