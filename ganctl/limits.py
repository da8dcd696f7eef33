"""The budget of everything that reads files from strangers: bytes, pixels, members, seconds.

Each limit is far above what honest files need, and low enough that no file takes much more memory
or time than the largest honest one. docs/reliability.md says what follows from them.
"""

from __future__ import annotations

# Checkpoints.

CHECKPOINT_DIRECTORY_BYTES = 2**20
"""Bytes at an archive's end that list its members; the hundred of a checkpoint take 10 KB."""
CHECKPOINT_BYTES = 2**32
"""Bytes of all tensors: no file takes more memory than that for its copy, and no run begins whose
checkpoints would have more."""
PICKLE_BYTES = 2**23
"""Bytes of a checkpoint's pickle; the history of `config.MAX_EPOCHS` epochs takes 4.8 MB."""
PICKLE_WORDS = 2**20
"""Instructions of a pickle; that longest history has 920,000: no file takes much longer to read."""
PICKLE_DEPTH = 16
"""Nested marks of a pickle; a tensor in its table, in its optimizer, takes six."""

# Images.

IMAGE_BYTES = 2**28
"""Bytes of one image file."""
IMAGE_PIXELS = 2**26
"""Pixels of one image: 256 MiB while it is decoded, and as much again for each step after.
Compressed, that may be a few kilobytes."""
JPEG_PIXELS = 4 * IMAGE_PIXELS
"""Pixels of a JPEG whose rows are decoded one after the other, at an eighth of their size. All
coefficients of one in several scans are held in memory: it has no more than `IMAGE_PIXELS`."""
JPEG_SCAN_PIXELS = 32 * IMAGE_PIXELS
"""Scans times pixels of a JPEG in several scans, each of which visits the whole image; ten are
common."""
TIFF_TILE_PIXELS = 2**22
"""Pixels of a TIFF's tile, where they are more than the image's; 512 x 512 are common."""
TIFF_PAGES = 100_000
"""Pages of a TIFF that are counted; only the first is decoded."""
EXIF_PARTS = 64
"""Parts of a JPEG's camera's notes: 64 KB each, and one is common."""
PROFILE_BYTES = 2**22
"""Bytes of a color profile; a printer's has about 2 MB."""

# Archives and folders.

MEMBERS = 10_000_000
"""Files of a folder or an archive."""
NAME_CHARS = 4096
"""Characters of a file's name with its folders, as many as Linux allows."""
NAME_FOLDERS = 64
"""Folders that a file is in, one in another."""
RATIO = 200
"""How many times its size an archive may unpack to: photographs hardly shrink, and flat drawings by
less than that."""
FREE_BYTES = 2**26
"""Bytes up to which an archive, or a member of a zip, may unpack to any multiple of its size."""
XZ_BYTES = 2**27
"""Bytes of memory that unpacking an .xz file may take; what `xz -9` packs takes half of it."""
DIRECTORY_BYTES = 2**28
"""Bytes read at once, such as a zip's list of members; 1.3 million photographs take 146 MB, and ten
times that in memory."""
ARRAY_DIRECTORY_BYTES = 2**20
"""The same of an .npz, which has a few arrays."""
CLASSES = 2**16
"""Names of classes in an .npz; networks can be told fewer."""
ARRAYS = 256
"""Arrays of an .npz."""
ARRAY_HEADER_BYTES = 2**14
"""Bytes that say what an array of an .npz is."""
FREE_IMAGES = 2**16
"""Images of an .npz up to which each may take less than one byte of the file."""
LABEL_BYTES = 2**16
"""Bytes of a .cls or .json beside an image."""
LABEL_LIST_BYTES = 2**26
"""Bytes of a list of all images' classes, such as dataset.json: ImageNet's would have 45 MB, and
parsed it takes some twenty times as much memory."""
ACCENTS = 30
"""Accents on one letter of a file's name, as many as Unicode's stream-safe text may have."""
LABEL_NAME_BYTES = 4096
"""Bytes of one label, or one class's name, in an array; characters of one in a list of labels."""
TAR_HEADER_BYTES = 2**20
"""Bytes of a tar's extended header, which holds a long name, or a file's attributes."""
TAR_HEADERS = 16
"""Extended headers before one member; four are common."""
FREE_DISK_BYTES = 2**28
"""Bytes of the disk that unpacking to a temporary file leaves free."""

# Shards and what is read over a network.

INDEX_BYTES = 2**26
"""Bytes of an index of shards."""
SHARDS = 100_000
"""Shards that a pattern may name."""
PIECE_BYTES = 2**28
"""Bytes asked of a server at once."""
IDLE_SECONDS = 30
"""Seconds without a byte from a server before the connection counts as broken."""
SLOWEST_BYTES = 2**15
"""Bytes a second, at least, that a server must send in the long run."""

FOLDERS = 1_000_000
"""Folders in shards whose index is made."""

# Text.

CONFIG_BYTES = 2**24
"""Bytes of a run's config.json; a start of the run takes some hundred."""
SETTINGS_BYTES = 2**18
"""Bytes of a file of settings; all of them take 3 KB."""
SETTINGS_DOTS = 100
"""Dots in a line of a file of settings: reading a dotted key takes quadratic time."""
