"""The `lab` command, building and proving lessons, the class, this machine. Nothing imports this room."""
