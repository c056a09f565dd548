"""Reallocation of tasks: is choice worth it, which menus are plain, what to do with the picks."""
