"""Where a class stands, from the summaries its learners export."""
