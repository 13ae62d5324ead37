"""The HTTP parts that both ports share: bodies, admission, refusals, certificates and path prefixes."""
