"""How maps hang on settings, as a picture."""
