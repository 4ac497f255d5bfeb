"""The promises of the service, each put to the test at the size that is asked for."""
