"""What the platform counts of itself: requests, tasks, and where several processes keep their figures."""
