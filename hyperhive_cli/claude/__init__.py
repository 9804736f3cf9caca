"""What is known about the claude binary: its command line, its stream, its outcomes, its process."""
