"""The audit: why a message went where it did, and how well routing does. It reads the ledger and writes nothing."""
