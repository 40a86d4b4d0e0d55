"""The HTTP API: messages and dispatches over the network, each caller with a signed grant."""
