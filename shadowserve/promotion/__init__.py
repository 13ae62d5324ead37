"""The switch: an alias of the registry moved on the grounds of a verdict, and moved back."""
