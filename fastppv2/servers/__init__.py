"""Servers that see their clients by configuration alone: a module for each."""
