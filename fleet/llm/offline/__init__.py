"""Models that need no key and no network: `offline:router` and `offline:worker`."""
