"""The version, apart, so that every file can have it."""

__all__ = ["__version__"]

__version__ = "2.0.0a1"
