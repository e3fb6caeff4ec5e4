"""The same loan read as others would build it: a plain Django project on DRF, djangorestframework-api-key,
django-ratelimit and drf-api-tracking, each as its own documentation shows it. Nothing of the platform is in it.

The packages stand in `.tools/bench`, not in the environment (`make bench` installs them there).
"""
