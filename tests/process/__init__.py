"""What a session does when its process forks, is signalled, ends, or is one of many."""
