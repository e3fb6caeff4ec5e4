"""The partner API as a whole: what holds for every endpoint of it."""
