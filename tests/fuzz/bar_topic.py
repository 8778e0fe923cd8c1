"""A topic without content, for the doors of the registry."""

from explore.core.catalog import Topic

TOPIC = Topic("bar")
