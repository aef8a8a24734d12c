"""What is encoded: a film clip, slides, and slides with something that moves on them."""

import subprocess
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
FILM_S, SLIDES_S, INSET_S = 30, 120, 60
SIZE = (1920, 1080)
INSET = "384x216"

TITLES = ["Refraction", "Snell's law", "Total reflection", "Dispersion", "Lenses", "Questions"]
LINES = [
    "Light is slower in water than in air.", "Where it leaves the water it turns.", "The angle depends on both materials:",
    "n1 sin(a1) = n2 sin(a2)", "Beyond the critical angle nothing gets out.", "Violet turns more than red.",
]


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()


def film(folder, seconds):
    clip = first_line(str(HOUSE / "tests/clips/fetch.sh"))
    if seconds >= FILM_S:
        return clip
    path = f"{folder}/film.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-t", str(seconds), "-c", "copy", path], check=True)
    return path


def slides(folder, seconds, slide_s, inset=False):
    """Slides of `slide_s` seconds at 1920x1080, 30 frames a second, with a voice; with a small moving picture in a corner if wanted."""
    speech = f"{folder}/speech.wav"
    words = " ".join(f"{title}. {' '.join(LINES)}" for title in TITLES)
    subprocess.run(["espeak-ng", "-s", "140", "-w", speech, words], check=True)
    graph = [f"color=0xf4f1ea:s=1920x1080:r=30:d={seconds}", "drawbox=x=0:y=0:w=1920:h=150:color=0x1f3a5f:t=fill"]
    for at, title in enumerate(TITLES):
        shown = f"enable='between(t,{at * slide_s:g},{(at + 1) * slide_s - 0.01:g})'"
        graph.append(f"drawtext=text='{title.replace(chr(39), chr(8217))}':fontsize=84:fontcolor=white:x=90:y=34:{shown}")
        for line in range(4 + at % 3):
            text = LINES[(line + at) % len(LINES)].replace(":", "\\:").replace("(", "\\(").replace(")", "\\)")
            graph.append(f"drawtext=text='{text}':fontsize=46:fontcolor=0x222222:x=120:y={230 + 90 * line}:{shown}")
        graph.append(f"drawbox=x={1150 + 30 * at}:y={330 + 25 * at}:w={420 - 20 * at}:h={380 - 30 * at}:color={['teal', 'orange', 'purple', 'olive', 'navy', 'brown'][at]}@0.7:t={12 + 6 * at}:{shown}")
    graph = ",".join(graph)
    if inset:
        graph = f"{graph}[slides];testsrc2=s={INSET}:r=30:d={seconds}[moving];[slides][moving]overlay=x=1500:y=830"
    path = f"{folder}/{'inset' if inset else 'slides'}.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-i", speech, "-filter_complex", f"{graph},format=yuv420p[picture];[0:a]apad[sound]"]
    command += ["-map", "[picture]", "-map", "[sound]", "-t", str(seconds), "-c:v", "libx264", "-preset", "veryfast", "-crf", "20"]
    subprocess.run([*command, "-c:a", "aac", "-b:a", "128k", path], check=True)
    return path


def sources(folder, seconds):
    """Name to title, duration in seconds, frames a second, and what makes the file. `seconds` shortens all of them."""
    film_s, slides_s = min(FILM_S, seconds or FILM_S), min(SLIDES_S, seconds or SLIDES_S)
    inset_s, slide_s = slides_s * INSET_S / SLIDES_S, slides_s / len(TITLES)
    return {
        "film": (f"Film: the first {film_s:g} s of Big Buck Bunny, 1920×1080 at 24 frames a second", film_s, 24, lambda: film(folder, film_s)),
        "slides": (
            f"Slides: {slides_s:g} s of {len(TITLES)} slides with a voice, 1920×1080 at 30 frames a second",
            slides_s, 30, lambda: slides(folder, slides_s, slide_s),
        ),
        "inset": (
            f"Inset: {inset_s:g} s of the same slides with a moving picture of {INSET.replace('x', '×')} on them",
            inset_s, 30, lambda: slides(folder, inset_s, slide_s, inset=True),
        ),
    }
