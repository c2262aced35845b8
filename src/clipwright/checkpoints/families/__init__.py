"""The layouts in which models are published: one file each. A layout is told by what is in it, never by its name."""
