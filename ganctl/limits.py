"""Limits on reading untrusted files: bytes, pixels, members, seconds.

Each is far above what honest files need, and low enough that no file takes much more memory or time
than the largest honest one. docs/reliability.md says what follows from them.
"""

# Checkpoints. A run is refused at its beginning if its checkpoints would exceed these.
CHECKPOINT_DIRECTORY_BYTES = 2**20  # of the list of members; the hundred of a checkpoint take 10 KB
CHECKPOINT_BYTES = 2**32  # of all tensors
GENERATOR_HEADER_BYTES = 2**23  # of a .safetensors; that of MNIST takes 4 KB
PICKLE_BYTES = 2**23  # the history of `config.MAX_EPOCHS` epochs takes 4.8 MB
PICKLE_WORDS = 2**20  # instructions; that history takes 920,000
PICKLE_DEPTH = 16  # nested marks; a tensor in the table of an optimizer takes six

# Images.
IMAGE_BYTES = 2**28  # of one file
IMAGE_PIXELS = 2**26  # 256 MiB while it is decoded, from a file of perhaps a few kilobytes
JPEG_PIXELS = 4 * IMAGE_PIXELS  # of one that is decoded row by row, at an eighth of its size
JPEG_SCAN_PIXELS = 32 * IMAGE_PIXELS  # scans times pixels: each of perhaps ten visits all of them
TIFF_TILE_PIXELS = 2**22  # of a tile larger than the image; 512 x 512 are common
TIFF_PAGES = 100_000  # that are counted; only the first is decoded
EXIF_PARTS = 64  # of 64 KB each; one is common
PROFILE_BYTES = 2**22  # of a color profile; a printer's has about 2 MB

# Archives and folders.
MEMBERS = 10_000_000
NAME_CHARS = 4096  # of a name with its folders, as many as Linux allows
NAME_FOLDERS = 64  # that a file is in, one in another
RATIO = 200  # of unpacked to packed size; flat drawings have less, photographs hardly shrink
FREE_BYTES = 2**26  # up to which that ratio is not limited
XZ_BYTES = 2**27  # of memory for unpacking; files of `xz -9` take half of it
DIRECTORY_BYTES = 2**28  # of a zip's list of members; 1.3 million photographs take 146 MB
ARRAY_DIRECTORY_BYTES = 2**20  # of the list of an .npz, which has a few arrays
CLASSES = 2**16  # names in an .npz; networks take fewer
ARRAYS = 256  # of an .npz
ARRAY_HEADER_BYTES = 2**14  # that describe an array of an .npz
PROVENANCE_BYTES = 2**20  # of the text in an .npz that says where it comes from
FREE_IMAGES = 2**16  # of an .npz up to which each may take less than a byte of the file
LABEL_BYTES = 2**16  # of a .cls or .json beside an image
LABEL_LIST_BYTES = 2**26  # of a list such as dataset.json; ImageNet's would have 45 MB
ACCENTS = 30  # on one letter of a name, as many as Unicode's stream-safe text format allows
LABEL_NAME_BYTES = 4096  # of a label or class name in an array; characters in a list of labels
TAR_HEADER_BYTES = 2**20  # of an extended header, which holds a long name or attributes
TAR_HEADERS = 16  # extended headers before one member; four are common
FREE_DISK_BYTES = 2**28  # that unpacking to a temporary file leaves free

# Shards and what is read over a network.
INDEX_BYTES = 2**26
SHARDS = 100_000  # that a pattern may name
FOLDERS = 1_000_000  # in shards that are indexed
PIECE_BYTES = 2**28  # asked of a server at once
IDLE_SECONDS = 30  # without a byte from a server until the connection counts as broken
SLOWEST_BYTES = 2**15  # per second that a server must send in the long run

# Text.
CONFIG_BYTES = 2**24  # of a run's config.json; a start of the run takes some hundred
SETTINGS_BYTES = 2**18  # of a file of settings; all of them take 3 KB
SETTINGS_DOTS = 100  # in a line of such a file: reading a dotted key takes quadratic time
