"""The sides that are compared. Each says how it is run and where its multivariant playlist is."""

import re
from pathlib import Path

from measure import Failed
from playlists import renditions

# Averages from the H.264 example of Apple's HLS authoring specification, kbit/s for a height:
# https://developer.apple.com/documentation/http-live-streaming/hls-authoring-specification-for-apple-devices
# Of the two rates that it gives for 1080 and 720 lines the lower. It has no 480 lines: the nearest size is 432, of which the higher.
USUAL_KBPS = {1080: 6000, 720: 3000, 480: 1100, 360: 365}
USUAL_FROM = "the H.264 example of Apple's HLS authoring specification (of two rates for a size the lower; for 480 lines, which it lacks, the higher of its 432)"
# Its rule 1.30: the peak is no more than 200 % of the average. The buffer holds as many seconds as the ladder's own.
PEAK, BUFFER_S = 2, 2

SHAKA_SETTINGS = """\
streaming_mode: vod
resolutions: [{resolutions}]
channel_layouts: [{layout}]
audio_codecs: [aac]
video_codecs: [h264]
manifest_format: [hls, dash]
segment_size: {seconds:g}
quiet: true
"""


def capped_crf(change=0):
    """The ladder's quality target and ceilings, or a target `change` higher."""

    def options(rung, stream):
        rate = [f"-crf:v:{stream}", f"{rung['crf'] + change:g}"]
        return rate + [f"-maxrate:v:{stream}", str(rung["max_bps"]), f"-bufsize:v:{stream}", str(rung["buffer_bits"])]

    return options


def usual_rate(rung, stream):
    # Looked up by the shorter side, as the sizes of a ladder are named.
    average = USUAL_KBPS[min(rung["width"], rung["height"])]
    rate = [f"-b:v:{stream}", f"{average}k", f"-maxrate:v:{stream}", f"{PEAK * average}k"]
    return [*rate, f"-bufsize:v:{stream}", f"{PEAK * average * BUFFER_S}k"]


def ffmpeg_command(plan, clip, folder, rate):
    """ffmpeg doing what `plan` says: one decode, every rung, audio, fMP4 segments, HLS playlists."""
    video, audio = plan["video"], plan["audio"][0]
    seconds = video["segment_ns"] / 1e9
    rungs = list(enumerate(video["rungs"]))
    split = f"[0:v]split={len(rungs)}" + "".join(f"[s{at}]" for at, _ in rungs)
    scales = [f"[s{at}]scale={rung['width']}:{rung['height']}[v{at}]" for at, rung in rungs]
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", clip, "-filter_complex", ";".join([split, *scales])]
    for at, rung in rungs:
        command += ["-map", f"[v{at}]", *rate(rung, at)]
    command += ["-c:v", "libx264", "-preset", video["preset"], "-profile:v", "high"]
    command += ["-x264-params", "scenecut=0:open-gop=0:keyint=infinite"]
    command += ["-force_key_frames", f"expr:gte(t,n_forced*{seconds:g})"]
    command += ["-map", f"0:a:{audio['track']}", "-c:a", "aac", "-b:a", str(audio["bps"]), "-ac", str(audio["channels"])]
    streams = " ".join(f"v:{at},agroup:audio" for at, _ in rungs) + " a:0,agroup:audio"
    command += ["-f", "hls", "-hls_time", f"{seconds:g}", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
    command += ["-hls_flags", "independent_segments", "-master_pl_name", "multivariant.m3u8", "-var_stream_map", streams]
    command += ["-hls_segment_filename", f"{folder}/%v/%d.m4s", f"{folder}/%v/index.m3u8"]
    return command


def shaka_command(program, plan, clip, folder):
    """Shaka Streamer with the ladder's heights and what it makes of them by itself: its bitrates, its preset, its packaging."""
    settings = Path(f"{folder}-settings")
    settings.mkdir()
    source = f"  - input_type: file\n    name: {clip}\n    media_type: "
    (settings / "input.yaml").write_text(f"inputs:\n{source}video\n{source}audio\n")
    (settings / "pipeline.yaml").write_text(shaka_settings(plan))
    return [str(program), "-i", f"{settings}/input.yaml", "-p", f"{settings}/pipeline.yaml", "-o", folder]


def shaka_settings(plan):
    video, channels = plan["video"], plan["audio"][0]["channels"]
    resolutions = ", ".join(f"{rung['height']}p" for rung in video["rungs"])
    return SHAKA_SETTINGS.format(resolutions=resolutions, layout="mono" if channels == 1 else "stereo", seconds=video["segment_ns"] / 1e9)


def shaka_rates(folder):
    """The bitrate that Shaka Streamer chose for each height, which it puts into its files' names."""
    names = (re.match(r"video_(\d+)p_(\w+?)_h264_init", file.name) for file in Path(folder).glob("video_*_init.mp4"))
    return {int(name[1]): name[2] for name in names if name}


class Side:
    """One of those that are compared, by `key`; `rounds` of them, or as many as there are."""

    def __init__(self, key, label, command, multivariant, rounds=None):
        self.key, self.label, self.command, self.multivariant, self.rounds = key, label, command, multivariant, rounds


def lectern_command(program, clip, folder):
    return [program, "encode", clip, "--out", folder, "--json"]


def sides(given, plan, clip, name):
    ffmpeg = [Side("same", "ffmpeg, same quality", lambda folder: ffmpeg_command(plan, clip, folder, capped_crf()), "multivariant.m3u8")]
    if name != "film":
        ffmpeg.append(Side("usual", "ffmpeg, usual bitrates", lambda folder: ffmpeg_command(plan, clip, folder, usual_rate), "multivariant.m3u8"))
    return [
        Side("lectern", "Lectern", lambda folder: lectern_command(given.lectern, clip, folder), "multivariant.m3u8"),
        *ffmpeg,
        Side("shaka", "Shaka Streamer", lambda folder: shaka_command(given.shaka, plan, clip, folder), "hls.m3u8", given.shaka_rounds),
        Side("decoding", "decoding alone", lambda folder: ["ffmpeg", "-v", "error", "-nostdin", "-i", clip, "-map", "0:v:0", "-f", "null", "-"], None),
    ]


def look_through(side, folder, heights, seconds):
    """What `side` has written, once it is certain that it is all there."""
    multivariant = Path(folder) / side.multivariant
    if not multivariant.exists():
        raise Failed(f"no {side.multivariant} was written")
    made = renditions(multivariant)
    if sorted(made) != sorted(heights):
        raise Failed(f"expected renditions of {sorted(heights)} lines, found {sorted(made)}")
    for height, rendition in made.items():
        if abs(rendition["seconds"] - seconds) > 1:
            raise Failed(f"the rendition of {height} lines has {rendition['seconds']:.1f} s of {seconds:g}")
    return made
