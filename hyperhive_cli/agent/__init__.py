"""One agent: its scheduler and loop, its turns, and what keeps them within limits, logged in and recorded."""
