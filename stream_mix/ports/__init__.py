"""Everything of the service that touches the world: sockets, journal, clock, metrics and the one loop."""
