"""Configuration of the documentation."""

from importlib.metadata import version as installed_version

project = "fairlot"
author = "The fairlot developers"
release = version = installed_version("fairlot")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints = "none"

html_theme = "furo"
html_title = "fairlot"
