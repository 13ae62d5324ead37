"""Why two versions answer differently: new weights, new features, both, or what cannot be known."""
