"""A learner's study plan: a path, a pace, dates, and the calendar made of them."""
