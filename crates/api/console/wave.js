// The picture of a recording: how loud each party is when, what was masked, what was lost. Plays nothing.

const BUCKETS = 800;
/** Enough for a picture; a browser decodes a lower rate with less memory. */
const RATE = 8000;

/** The loudest sample of each of many parts, of each channel, 0 to 1. */
export async function heights(blob) {
  const decoded = await new OfflineAudioContext(2, 1, RATE).decodeAudioData(await blob.arrayBuffer());
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, at) => decoded.getChannelData(at));
  return channels.map((samples) => {
    const step = Math.max(1, Math.ceil(samples.length / BUCKETS));
    const peaks = [];
    for (let from = 0; from < samples.length; from += step) {
      let peak = 0;
      for (let at = from; at < Math.min(from + step, samples.length); at += 1) peak = Math.max(peak, Math.abs(samples[at]));
      peaks.push(peak);
    }
    return peaks;
  });
}

export function draw(canvas, { picture, length, at, masked, gaps }) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  const x = (ms) => (length ? (ms / 1000 / length) * width : 0);
  const spans = (all, name, alpha) => {
    pen.fillStyle = colour(name);
    pen.globalAlpha = alpha;
    for (const [from, until, lane] of all) {
      const [top, tall] = lane === undefined ? [0, height] : [(lane * height) / 2, height / 2];
      pen.fillRect(x(from), top, Math.max(2, x(until ?? length * 1000) - x(from)), tall);
    }
    pen.globalAlpha = 1;
  };
  spans(masked, "--mask", 0.45);
  spans(gaps, "--gap", 1);
  const lanes = picture ?? [];
  lanes.forEach((peaks, lane) => {
    const [high, middle] = [height / lanes.length, (height / lanes.length) * (lane + 0.5)];
    pen.fillStyle = colour(lane ? "--leg-b" : "--leg-a");
    // Whole columns of the screen, for half of one is half as dark.
    for (let column = 0; column < width; column += 1) {
      const [from, until] = [column, column + 1].map((x) => Math.floor((x / width) * peaks.length));
      const peak = Math.max(...peaks.slice(from, Math.max(until, from + 1)));
      // Loudness is heard by its logarithm; the root comes near it.
      const tall = Math.max(1, Math.sqrt(peak) * high * 0.9);
      pen.fillRect(column, middle - tall / 2, 1, tall);
    }
  });
  pen.fillStyle = colour("--ink");
  pen.fillRect(x(at * 1000), 0, 2, height);
}
