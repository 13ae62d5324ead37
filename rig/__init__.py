"""What tests and benchmarks both stand on: small models, drawn inputs, real servers and lanes to feed."""
