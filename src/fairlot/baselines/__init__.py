"""The mechanisms users know, beside ours, and the measures they are compared by."""
