"""What both ports share of HTTP: bodies, admission, refusals, certificates and path prefixes."""
