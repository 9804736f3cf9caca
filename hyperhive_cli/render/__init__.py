"""How events look to a person: the only home of `rich`."""
