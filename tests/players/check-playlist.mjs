// Holds HLS playlists against two independent parsers and the rules that both let pass.
//
//   node check-playlist.mjs FILE…
//
// Exits 0 when every file is a good playlist, 1 with one line per fault otherwise.
import { readFileSync } from "node:fs";
import HLS from "hls-parser";
import { Parser } from "m3u8-parser";

// RFC 8216bis, 4.4.4.4. hls-parser accepts any word here.
const METHODS = ["NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"];
const ATTRIBUTE = /([A-Z0-9-]+)=("[^"]*"|[^,"]+)(?:,|$)/gy;

HLS.setOptions({ strictMode: true, silent: true });

/** The attributes of a tag's line, or a fault when the line is not a list of them. */
function attributes(line) {
  const list = line.slice(line.indexOf(":") + 1);
  const found = {};
  let end = 0;
  for (const match of list.matchAll(ATTRIBUTE)) {
    if (match[1] in found) throw new Error(`attribute ${match[1]} twice: ${line}`);
    found[match[1]] = match[2].replace(/^"|"$/g, "");
    end = match.index + match[0].length;
  }
  if (end !== list.length) throw new Error(`not a list of attributes: ${line}`);
  return found;
}

function expect(truth, fault) {
  if (!truth) throw new Error(fault);
}

function checkLines(text, pairs) {
  expect(!/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff]/.test(text), "a control character or a byte order mark");
  expect(text.normalize("NFC") === text, "text that is not NFC");
  const lines = text.split("\n");
  expect(lines[0] === "#EXTM3U", `expected #EXTM3U first, got ${lines[0]}`);
  for (const line of lines) {
    if (/^#EXT-X-(SESSION-)?KEY:/.test(line)) checkKey(attributes(line), line, pairs);
    if (/^#EXT-X-(STREAM-INF|MEDIA|MAP):/.test(line)) attributes(line);
  }
}

function checkKey(key, line, pairs) {
  expect(METHODS.includes(key.METHOD), `METHOD is none of ${METHODS.join(", ")}: ${line}`);
  if (key.METHOD === "NONE") return;
  expect(key.URI, `a key without URI: ${line}`);
  if (key.METHOD !== "AES-128") return;
  expect(/^0x[0-9a-fA-F]{32}$/.test(key.IV ?? ""), `expected an IV of 128 bits: ${line}`);
  const pair = `${key.URI} ${key.IV}`;
  expect(!pairs.has(pair), `key and IV used twice: ${line}`);
  pairs.add(pair);
}

function checkMedia(playlist, text) {
  expect(playlist.segments.length > 0, "no segments");
  for (const segment of playlist.segments) {
    const whole = Math.round(segment.duration);
    expect(whole <= playlist.targetDuration, `EXTINF ${segment.duration} over the target duration ${playlist.targetDuration}`);
    expect(segment.map, `segment ${segment.uri} has no init segment`);
  }
  expect(playlist.version >= 6, `EXT-X-MAP needs version 6, got ${playlist.version}`);
  expect(playlist.playlistType === "VOD" && playlist.endlist, "expected a finished VOD playlist");
  expect(playlist.independentSegments, "expected INDEPENDENT-SEGMENTS");
  expect(text.match(/^#EXTINF:/gm).length === playlist.segments.length, "segments were lost in parsing");
}

function checkMultivariant(playlist) {
  expect(playlist.variants.length > 0, "no variants");
  expect(playlist.independentSegments, "expected INDEPENDENT-SEGMENTS");
  const uris = playlist.variants.map((variant) => variant.uri);
  expect(new Set(uris).size === uris.length, "one variant twice");
  for (const variant of playlist.variants) {
    expect(variant.codecs, `variant ${variant.uri} without CODECS`);
    expect(variant.averageBandwidth <= variant.bandwidth, `variant ${variant.uri}: average above peak`);
    const names = variant.audio.map((rendition) => rendition.name);
    expect(new Set(names).size === names.length, `audio names not unique: ${names}`);
    expect(names.length === 0 || variant.audio.filter((rendition) => rendition.isDefault).length === 1, "expected one default audio");
  }
  checkSoundAlone(playlist.variants);
}

// Where there is picture and sound, one variant has the sound alone, and players do not begin with it.
function checkSoundAlone(variants) {
  const alone = variants.filter((variant) => !variant.resolution);
  if (alone.length === variants.length || variants[0].audio.length === 0) return;
  expect(alone.length === 1, `expected one variant of sound alone, got ${alone.length}`);
  const [sound] = alone;
  expect(variants.at(-1) === sound, "sound alone is not the last variant");
  expect(sound.uri === sound.audio.find((rendition) => rendition.isDefault).uri, `sound alone is not the default sound: ${sound.uri}`);
  expect(sound.codecs.split(",").every((codec) => codec.startsWith("mp4a.")), `sound alone needs ${sound.codecs}`);
  expect(variants.every((variant) => variant === sound || variant.bandwidth > sound.bandwidth), "sound alone needs more than a picture");
}

function checkWithM3u8Parser(text) {
  const parser = new Parser();
  const faults = [];
  for (const level of ["warn", "error"]) parser.on(level, (event) => faults.push(event.message));
  parser.push(text);
  parser.end();
  expect(faults.length === 0, `m3u8-parser: ${faults.join("; ")}`);
}

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: node check-playlist.mjs FILE…");
  process.exit(2);
}
let faults = 0;
// Across all files: rungs share a key, so an IV in two of them is as bad as twice in one.
const pairs = new Set();
for (const file of files) {
  try {
    const text = readFileSync(file, "utf8");
    checkLines(text, pairs);
    const playlist = HLS.parse(text);
    if (playlist.isMasterPlaylist) checkMultivariant(playlist);
    else checkMedia(playlist, text);
    checkWithM3u8Parser(text);
  } catch (error) {
    faults += 1;
    console.error(`${file}: ${error.message}`);
  }
}
process.exit(faults === 0 ? 0 : 1);
