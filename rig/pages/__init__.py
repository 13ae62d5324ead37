"""The documentation's own tools: pages made from the code, the blocks that pages show, and the built site."""
