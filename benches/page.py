"""The page, from what was measured. Every figure on it is computed here."""

import statistics

import peers
from measure import MIB
from quality import bytes_at


def times(value, digits):
    return f"{value:.{digits}f} ×"


def spread(values, digits=2):
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratios(source, what, side):
    """Lectern's cost over a side's, round by round."""
    return [mine[what] / other[what] for mine, other in zip(source["costs"]["lectern"], source["costs"][side], strict=False)]


def median(source, what, side, unit=1.0):
    return statistics.median(cost[what] for cost in source["costs"][side]) / unit


def total(source, side):
    return sum(rendition["bytes"] for rendition in source["made"][side].values())


def heights(source):
    return [str(rung["height"]) for rung in source["rungs"]]


def bytes_ratios(source, side):
    return [source["made"]["lectern"][height]["bytes"] / source["made"][side][height]["bytes"] for height in heights(source)]


def equal_ratios(source):
    """Lectern's bytes over ffmpeg's at Lectern's SSIM at the source's size, for each rung; None where ffmpeg's three points have no slope."""
    found = []
    for height in heights(source):
        theirs = bytes_at(source["full"]["lectern"][height], source["equal"][height])
        found.append(source["made"]["lectern"][height]["bytes"] / theirs if theirs else None)
    return found


def beyond(source):
    """Whether Lectern's SSIM is outside of ffmpeg's three points on some rung."""
    points = {height: [ssim for ssim, _ in source["equal"][height]] for height in source["equal"]}
    return any(not min(of) <= source["full"]["lectern"][height] <= max(of) for height, of in points.items())


def peers_of(source):
    """Sides that Lectern is compared with, those that worked."""
    return [side for side in source["labels"] if side not in ("lectern", "decoding") and side in source["made"]]


def at_most(what, value, limit, digits=3, more=""):
    return what, f"≤ {limit:g} ×", times(value, digits) + more, float(f"{value:.{digits}f}") <= limit


def wanted(name, source):
    """Rows of what, against whom, what is wanted, what was measured, and whether that reaches it."""
    rows = []

    def against(side, row):
        rows.append((row[0], source["labels"].get(side, side), *row[1:]))

    lowest = min(source["own"]["lectern"].values())
    if name == "film":
        if "same" in source["made"]:
            against("same", at_most("processor time", statistics.median(ratios(source, "cpu", "same")), 0.95))
            against("same", at_most("peak memory", statistics.median(ratios(source, "memory", "same")), 0.6))
            against("same", at_most("bytes, the worst rung", max(bytes_ratios(source, "same")), 1, 4))
            worst = min(source["full"]["lectern"][height] - source["full"]["same"][height] for height in heights(source))
            against("same", ("SSIM on a whole screen, the worst rung", "no lower", f"{worst:+.4f}", round(worst, 4) >= 0))
            equal = [ratio for ratio in equal_ratios(source) if ratio] if source["equal"] else []
            if equal:
                against("same", at_most("bytes at equal SSIM, the worst rung", max(equal), 1, 4, ", beyond ffmpeg's three points" if beyond(source) else ""))
        return rows
    wall, size, ssim = (0.12, 0.25, 0.99) if name == "slides" else (0.5, 0.3, 0.985)
    for side in ("usual", "same"):
        if side in source["made"]:
            against(side, at_most("wall time", statistics.median(ratios(source, "wall", side)), wall))
            against(side, at_most("bytes of all rungs", total(source, "lectern") / total(source, side), size))
    against("the source", ("SSIM, the worst rung at its own size", f"≥ {ssim:g}", f"{lowest:.4f}", round(lowest, 4) >= ssim))
    if name == "slides" and "decoding" in source["costs"]:
        against("ffmpeg decoding the source and nothing else", ("wall time", "", times(statistics.median(ratios(source, "wall", "decoding")), 2), None))
    return rows


def goals(figures):
    lines = ["| source | what | against | wanted | measured | reached |", "|---|---|---|---|---|---|"]
    for name, source in figures["sources"].items():
        for what, side, limit, measured, reached in wanted(name, source):
            lines.append(f"| {name} | {what} | {side} | {limit} | {measured} | {'' if reached is None else 'yes' if reached else '**no**'} |")
    return lines


def rows(*table):
    return [f"| {' | '.join(map(str, cells))} |" for cells in table]


def costs(source):
    others = peers_of(source)
    header = ["", source["labels"]["lectern"], *(cell for side in others for cell in (source["labels"][side], "Lectern's over it"))]
    table = [header, ["---"] * len(header)]
    for label, what, unit, digits, suffix in (
        ("wall time", "wall", 1, 1, " s"), ("processor time", "cpu", 1, 1, " s"), ("peak memory of all processes", "memory", MIB, 0, " MiB"),
    ):
        cells = [label, f"{median(source, what, 'lectern', unit):.{digits}f}{suffix}"]
        for side in others:
            cells += [f"{median(source, what, side, unit):.{digits}f}{suffix}", spread(ratios(source, what, side))]
        table.append(cells)
    cells = ["bytes of all rungs", f"{total(source, 'lectern'):,}"]
    for side in others:
        cells += [f"{total(source, side):,}", f"{total(source, 'lectern') / total(source, side):.3f}"]
    table.append(cells)
    cells = ["SSIM of the worst rung at its own size", f"{min(source['own']['lectern'].values()):.4f}"]
    for side in others:
        cells += [f"{min(source['own'][side].values()):.4f}", ""]
    return rows(*table, cells)


def rung_name(source, side, height):
    rendition = source["made"][side][height]
    return f"{rendition['width']}×{rendition['height']}"


def rungs(source):
    others = peers_of(source)
    full = [side for side in ("lectern", "same") if side in source["full"]]
    names = source["labels"]
    header = ["SSIM", *(names[side] for side in ["lectern", *others]), *(f"at full size: {names[side]}" for side in full)]
    table = [header, ["---"] * len(header)]
    for height in heights(source):
        cells = [rung_name(source, "lectern", height)]
        cells += [f"{source['own'][side][height]:.4f}" for side in ["lectern", *others]]
        table.append(cells + [f"{source['full'][side][height]:.4f}" for side in full])
    lines = [*rows(*table), ""]
    equal = equal_ratios(source) if source["equal"] else []
    header = ["bytes", names["lectern"], *(cell for side in others for cell in (names[side], "ratio"))]
    header += ["ffmpeg's bytes at Lectern's SSIM", "ratio"] if equal else []
    table = [header, ["---"] * len(header)]
    for at, height in enumerate(heights(source)):
        mine = source["made"]["lectern"][height]["bytes"]
        cells = [rung_name(source, "lectern", height), f"{mine:,}"]
        for side in others:
            theirs = source["made"][side][height]["bytes"]
            cells += [f"{theirs:,}", f"{mine / theirs:.3f}"]
        if equal:
            cells += [f"{mine / equal[at]:,.0f}", f"{equal[at]:.3f}"] if equal[at] else ["no slope", ""]
        table.append(cells)
    return lines + rows(*table)


def rounds(figures, with_shaka):
    said = f"{figures['rounds']} round{'' if figures['rounds'] == 1 else 's'}"
    fewer = with_shaka and figures["shaka_rounds"] < figures["rounds"]
    return f"{said}, Shaka Streamer in the first {figures['shaka_rounds']} of them, because it is the slowest." if fewer else f"{said}."


def section(source, figures):
    others = peers_of(source)
    lines = [
        f"## {source['title']}", "",
        f"Into {len(source['rungs'])} rungs (preset `{source['preset']}`, CRF {source['rungs'][0]['crf']:g} with ceilings) and {'mono' if source['channels'] == 1 else 'stereo'} AAC, fMP4 segments, HLS playlists. "
        + rounds(figures, "shaka" in others),
        "", *costs(source), "",
    ]
    if "decoding" in source["costs"]:
        decoding = median(source, "wall", "decoding")
        lines += [f"Decoding the source alone takes ffmpeg {decoding:.1f} s of wall time: Lectern's whole encode is {spread(ratios(source, 'wall', 'decoding'))} times that.", ""]
    for side, why in source["failed"].items():
        lines += [f"{source['labels'][side]} is left out, because it failed: {why}", ""]
    if "shaka" in others:
        lines += [f"Shaka Streamer's own bitrates: {', '.join(f'{rate}bit/s for {height} lines' for height, rate in sorted(source['shaka_rates'].items(), key=lambda pair: -int(pair[0])))}.", ""]
        odd = [height for height in heights(source) if rung_name(source, "shaka", height) != rung_name(source, "lectern", height)]
        for height in odd:
            lines += [f"Its {height}p is {rung_name(source, 'shaka', height)}, beside the others' {rung_name(source, 'lectern', height)}, and compared at that size.", ""]
    lines += [*rungs(source), ""]
    if source["equal"]:
        lines += [
            "At equal SSIM: ffmpeg also encoded the ladder once with a CRF one lower and one higher; its bytes at Lectern's SSIM on a whole screen are read between these three, "
            "on straight lines between their logarithms" + (", or where Lectern's SSIM is beyond them, on the nearest line continued." if beyond(source) else "."), "",
        ]
    return lines


def text(figures, picture):
    found = figures["versions"]
    shaka = f"; Shaka Streamer {found['Shaka Streamer']} with its own ffmpeg {found['its ffmpeg']} and packager {found['its packager']}" if "Shaka Streamer" in found else ""
    lines = [
        "# Benchmarks", "",
        "Written by `make bench`, which anyone can repeat; every figure is measured, none is typed in." + (" **This is a trial on shortened or fewer sources.**" if figures["trial"] else ""),
        "Ratios are Lectern's figure over the peer's within one round: the median of the rounds, with the smallest and the largest.", "",
        f"{figures['date']}, {figures['minutes']:.0f} minutes: {figures['machine']}; GStreamer {found['GStreamer']}, ffmpeg {found['ffmpeg']}, the same x264 for both ({found['x264']}){shaka}.", "",
        *goals(figures), "",
    ]
    if picture:
        lines += [f"![Bars of wall time, processor time and bytes for each source and each side; the figures are in the tables below]({picture})", ""]
    lines += [
        "## Who is compared", "",
        "- **Lectern**: `lectern encode`, nothing set.",
        "- **ffmpeg, same quality**: one command, one decode, Lectern's ladder with its CRF, ceilings, preset and segment length.",
        f"- **ffmpeg, usual bitrates**: the same command with an average bitrate for each rung instead, as most people run it: {usual(figures)}, from {peers.USUAL_FROM}; "
        f"peaks of {peers.PEAK * 100} %, a buffer of {peers.BUFFER_S} s of those. Lectures only.",
        "- **Shaka Streamer**: files in, HLS and DASH out, the same heights and segment length; its bitrates and its packaging are its own. It encodes files with the preset `slow` "
        "and has no setting for that: its time says what its users wait, not what its code costs.", "",
        "SSIM is the mean of all frames, luma and chroma; a frame that Lectern left out because it repeats the one before is shown again for it, as players do. At the rung's own size "
        "the source is scaled down by averaging, which no side scales with; at full size the rendition is scaled up, as on a learner's screen, which is where film is compared: whoever scales down more sharply is further from an average and closer to the source"
        + (f" (of slides one frame in {max(source['every'] for source in figures['sources'].values())})." if any(source["every"] > 1 for source in figures["sources"].values()) else "."), "",
    ]
    for source in figures["sources"].values():
        lines += section(source, figures)
    return "\n".join([*lines, *commands(figures), ""])


def usual(figures):
    """The rate of each height that is in some ladder, as `peers` has it."""
    known = {int(height) for source in figures["sources"].values() for height in heights(source)}
    return ", ".join(f"{rate} kbit/s for {height} lines" for height, rate in peers.USUAL_KBPS.items() if height in known)


def commands(figures):
    lines, said = ["## Commands", ""], set()
    for name, source in figures["sources"].items():
        for side, command in source["commands"].items():
            if side in ("same", "usual", "shaka") and side not in said:
                said.add(side)
                lines += [f"{source['labels'][side]}, on the source {name}:", "", "```", command, "```", ""]
                if side == "shaka":
                    lines += ["with `pipeline.yaml`", "", "```", source["shaka_settings"].rstrip(), "```", ""]
    return lines[:-1]
