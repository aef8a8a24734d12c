#!/usr/bin/env bash
# Installs what Debian packages provide: `install.sh build|test|bench`. Says what is missing and why before it asks apt;
# installs nothing that is there. Needs root or sudo only when something is missing.
set -euo pipefail

# package: why
build='
clang: the linker driver that .cargo/config.toml names
g++: compiles the C parts of the TLS and SQLite crates
mold: links in a second instead of ten
pkg-config: finds GStreamer
libgstreamer1.0-dev: GStreamer, which decodes and encodes
libgstreamer-plugins-base1.0-dev: its video and audio libraries
gstreamer1.0-plugins-base: converting, scaling, Opus, the drawing of the sample lecture
gstreamer1.0-plugins-good: reading MP4, Matroska and WebM; VP8 and VP9
gstreamer1.0-plugins-bad: reading MPEG transport streams, parsing H.264 and H.265
gstreamer1.0-plugins-ugly: reading ASF; x264 for the sample lecture
libx264-dev: x264, which encodes H.264
gstreamer1.0-libav: AAC, and the decoders of libavcodec
gstreamer1.0-x: text for the sample lecture
'
test='
ffmpeg: the independent decoder and the maker of test sources
espeak-ng: speech for the lectures that the tests draw
chromium: the browser that the pages are tested in
mediainfo: an independent reader of files
openssl: opens what the packager has encrypted
nginx: the edge that deployments put before Lectern
python3-venv: the environment of the Python clients
fonts-dejavu-core: text in pictures
'
bench='
ffmpeg: the peer that encoding is measured against
espeak-ng: speech for the lectures that are encoded
fonts-dejavu-core: text on their slides
python3-venv: the environment of Shaka Streamer, the other peer
'

case "${1:-}" in
    build) wanted=$build ;;
    test) wanted=$test ;;
    bench) wanted=$bench ;;
    *) echo "usage: $0 build|test|bench" >&2; exit 2 ;;
esac

missing=()
while IFS=: read -r package why; do
    [ -n "$package" ] || continue
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        [ ${#missing[@]} -gt 0 ] || echo "Missing here, to $1 Lectern:"
        printf '  %-34s %s\n' "$package" "${why# }"
        missing+=("$package")
    fi
done <<<"$wanted"
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || { echo "there is no apt-get here; install the equivalents of the above" >&2; exit 1; }
root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "installing needs root: run as root, or install sudo" >&2; exit 1; }
    root=(sudo)
fi
echo "Installing with apt-get${root:+, through sudo} …"
# An outdated package list is the usual reason for a failed download, so it is renewed first.
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
