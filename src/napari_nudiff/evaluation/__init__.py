"""Studies of what the models make: agreement, realism, nuclei, copies. Headless."""
