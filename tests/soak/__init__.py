"""The soak: agents at work for minutes while everything around them fails at random. `python -m tests.soak`."""
