"""What other programs read: one module a format family."""
