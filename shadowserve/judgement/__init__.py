"""What follows from the facts: findings, and a verdict."""
