"""The living state: durable objects in dbzero, changed only by applying events."""
