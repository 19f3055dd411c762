"""Published weights: a table of what they are, where they lie and how to get them here."""
