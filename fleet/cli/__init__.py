"""The command line: one module a noun; a command's module is imported only when it runs."""
