"""Training sets: what goes into them, where it goes, and whether it is still what it was."""
