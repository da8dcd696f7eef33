"""Sources of image files: a folder, a zip, an array, or tar shards.

`opening` opens them. They find out which files are images (`base`) and which splits and classes
these belong to (`listing`), and read untrusted archives within limits (`bounded`, `headers`).
"""
