"""The live console: keys → editor, events → rows, both → one frame. All of it is pure but `terminal` and `display`."""
