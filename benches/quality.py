"""How close renditions are to their source: SSIM, luma and chroma, mean of frames."""

import math
import re
import subprocess

from measure import Failed


def compare(clip, rate, renditions, size=None, every=1):
    """SSIM of each rendition, in one pass: at its own size, or at `size`. One frame in `every`.

    At its own size the source is scaled down by averaging, a filter that no side scales with; at another the rendition is scaled
    up, as a player shows it on a whole screen. A frame that was left out because it repeats the one before is shown again.
    """
    groups = {}
    for name, rendition in renditions.items():
        groups.setdefault(size or (rendition["width"], rendition["height"]), []).append(name)
    frames = f"setpts=PTS-STARTPTS,fps={rate}" + (f",select='not(mod(n,{every}))'" if every > 1 else "")
    graph = [f"[0:v]{frames},split={len(groups)}" + "".join(f"[g{at}]" for at in range(len(groups)))]
    command = ["ffmpeg", "-v", "info", "-nostdin", "-i", clip]
    inputs, outputs = 0, []
    for at, ((width, height), names) in enumerate(groups.items()):
        graph.append(f"[g{at}]scale={width}:{height}:flags=area+accurate_rnd,split={len(names)}" + "".join(f"[{name}s]" for name in names))
        for name in names:
            inputs += 1
            command += ["-i", renditions[name]["playlist"]]
            upwards = f",scale={width}:{height}:flags=bicubic" if size else ""
            graph.append(f"[{inputs}:v]{frames}{upwards}[{name}r];[{name}r][{name}s]ssim@{name}[{name}]")
            outputs += ["-map", f"[{name}]", "-f", "null", "-"]
    ran = subprocess.run([*command, "-filter_complex", ";".join(graph), *outputs], capture_output=True, text=True, check=False)
    found = dict(re.findall(r"ssim@(\w+) @.*All:([0-9.]+)", ran.stderr))
    if ran.returncode or set(found) != set(renditions):
        raise Failed(f"SSIM was not measured: {ran.stderr[-600:].strip()}")
    return {name: float(value) for name, value in found.items()}


def bytes_at(ssim, points):
    """Bytes that a rung would have at `ssim`, from `points` of (SSIM, bytes): straight lines between logarithms. None: it has no slope."""
    points = sorted(points)
    # Outside of all points the nearest two say how it goes on.
    upper = next((at for at in range(1, len(points) - 1) if points[at][0] >= ssim), len(points) - 1)
    (low, fewer), (high, more) = points[upper - 1], points[upper]
    if high <= low:
        return None
    return math.exp(math.log(fewer) + (math.log(more) - math.log(fewer)) * (ssim - low) / (high - low))
