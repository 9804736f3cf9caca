"""The live feed: the bus, its ring buffer, and how the feed is followed from outside the harness."""
