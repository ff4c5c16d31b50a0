"""An inspection of data, on the terminal."""
