"""The supervisor: starts every process of a deployment, watches over them and ends them."""
