"""The version of this code: what decisions record as code_version."""

__all__ = ["__version__"]

__version__ = "0.1.0"
