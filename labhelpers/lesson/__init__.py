"""What every lesson has: its start, its exercises, its quiz, and the weekend project."""
