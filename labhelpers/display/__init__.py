"""What a reader sees and moves: plots, widgets, guesses, tokens."""
