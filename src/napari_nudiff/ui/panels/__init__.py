"""The parts of the docks; they know the session and the widgets, not each other."""
