"""Who calls the staff API: the access token, and the right that each call needs."""
