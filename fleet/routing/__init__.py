"""The dispatcher: what may be chosen, what is printed, what is decided. It knows no tool and no worker."""
