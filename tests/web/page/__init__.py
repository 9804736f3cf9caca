"""The page in a real browser, on the panel of a real agent."""
