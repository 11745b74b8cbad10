"""Images, layouts and training sets as files. No torch."""
