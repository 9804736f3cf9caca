"""The agent: its turn state, what becomes of a message, the loop, and the harness that holds it all."""
