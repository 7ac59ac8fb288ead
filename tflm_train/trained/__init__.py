"""Rewritten models read back, without an interpreter: what trains, saved states, merging."""
