"""What both ports share of HTTP: bodies, heads, tokens, certificates and path prefixes."""
