"""What is known of a model by the exact types that it is made of."""
