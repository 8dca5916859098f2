"""The wire: bytes in, replies out. Nothing here knows of qmail."""
