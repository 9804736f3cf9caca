"""What a person sees of events: the translation into rows. Pure."""
