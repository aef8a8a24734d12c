"""What an encoder has written, read from its HLS playlists and not from what it says of itself."""

import re
from pathlib import Path


def renditions(multivariant):
    """Height of each rendition to its playlist, width, bytes of all files that it names, and seconds."""
    found, size = {}, None
    for line in Path(multivariant).read_text().splitlines():
        if line.startswith("#EXT-X-STREAM-INF:"):
            size = re.search(r"RESOLUTION=(\d+)x(\d+)", line)
        elif size and line and not line.startswith("#"):
            playlist = Path(multivariant).parent / line.split("?")[0]
            files, seconds = contents(playlist)
            found[int(size[2])] = {
                "playlist": str(playlist), "width": int(size[1]), "height": int(size[2]),
                "bytes": sum(file.stat().st_size for file in files), "seconds": seconds,
            }
            size = None
    return found


def contents(playlist):
    files, seconds = set(), 0.0
    for line in playlist.read_text().splitlines():
        if line.startswith("#EXT-X-MAP:"):
            files.add(playlist.parent / re.search(r'URI="([^"]+)"', line)[1])
        elif line.startswith("#EXTINF:"):
            seconds += float(line[len("#EXTINF:"):].split(",")[0])
        elif line and not line.startswith("#"):
            files.add(playlist.parent / line)
    return files, seconds
