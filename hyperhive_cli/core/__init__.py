"""The vocabulary: errors, settings, events, outcomes, status. Pure."""
