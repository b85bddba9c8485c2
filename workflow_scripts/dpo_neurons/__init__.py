"""What the workflow's programs share, a module a concern."""
