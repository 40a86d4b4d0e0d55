"""Models: the contract, the provider's, the offline ones, and those for tests."""
