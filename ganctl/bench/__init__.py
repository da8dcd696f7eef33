"""The yardstick: how fast this machine trains, samples and decodes, and reaches a given quality."""
