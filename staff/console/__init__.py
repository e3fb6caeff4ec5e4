"""Pages of the console about people of staff and how they sign in."""
