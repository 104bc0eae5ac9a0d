"""What a script says while it works."""

import logging


def start(name: str) -> logging.Logger:
    """A logger that says who speaks."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    return log
