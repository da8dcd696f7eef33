"""The settings of a training run: declared, given by presets and users, fitted to images."""
