"""hyperhive: runs a Claude Code agent unattended, turn by turn, every event recorded."""
