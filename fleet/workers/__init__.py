"""Workers: they own the replies. A worker knows nothing of routing."""
