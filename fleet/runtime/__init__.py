"""The running fleet: home, intake, lanes, outbox."""
