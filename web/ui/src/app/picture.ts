/** The charts of a page as one PNG, with what they show written above them. */
import { saveBlob } from "./clipboard";
import { toast } from "./toast";

const margin = 16;
const titleHeight = 28;
/** Twice the pixels, so that text stays sharp where the picture is pasted. */
const scale = 2;

export async function savePicture(): Promise<void> {
  const charts = [...document.querySelectorAll<HTMLElement>(".histogram, .uplot")].filter(
    (chart) => chart.offsetWidth > 0,
  );
  if (charts.length === 0) {
    toast("There is no chart here");
    return;
  }
  const width = Math.max(...charts.map(({ offsetWidth }) => offsetWidth)) + 2 * margin;
  const height = charts.reduce((sum, { offsetHeight }) => sum + offsetHeight + margin, titleHeight + margin);
  const canvas = document.createElement("canvas");
  canvas.width = width * scale;
  canvas.height = height * scale;
  const drawing = canvas.getContext("2d");
  if (drawing === null) return;
  const style = getComputedStyle(document.body);
  drawing.scale(scale, scale);
  drawing.fillStyle = getComputedStyle(document.querySelector(".page") ?? document.body).backgroundColor;
  drawing.fillRect(0, 0, width, height);
  drawing.fillStyle = style.color;
  drawing.font = `600 14px ${style.fontFamily}`;
  drawing.fillText(document.title, margin, margin + 10, width - 2 * margin);
  let top = titleHeight + margin / 2;
  for (const chart of charts) {
    await drawChart(drawing, chart, margin, top);
    top += chart.offsetHeight + margin;
  }
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob === null) toast("This browser made no picture of it");
  else saveBlob("taffrail.png", blob);
}

/** Draws what a chart consists of: canvases, SVG with the colours that the style sheet gives it, and texts in their places. */
async function drawChart(
  drawing: CanvasRenderingContext2D,
  chart: HTMLElement,
  left: number,
  top: number,
): Promise<void> {
  const box = chart.getBoundingClientRect();
  const place = (part: Element): DOMRect => {
    const own = part.getBoundingClientRect();
    return new DOMRect(left + own.left - box.left, top + own.top - box.top, own.width, own.height);
  };
  for (const part of chart.querySelectorAll("canvas")) {
    const { x, y, width, height } = place(part);
    if (width > 0) drawing.drawImage(part, x, y, width, height);
  }
  for (const part of chart.querySelectorAll("svg")) {
    const { x, y, width, height } = place(part);
    const image = await imageOf(part, width, height);
    if (image !== undefined) drawing.drawImage(image, x, y, width, height);
  }
  for (const part of chart.querySelectorAll<HTMLElement>(".histogram-axis span, .histogram-scale")) {
    const style = getComputedStyle(part);
    const { x, y, height } = place(part);
    drawing.fillStyle = style.color;
    drawing.font = `${style.fontSize} ${style.fontFamily}`;
    drawing.fillText(part.textContent ?? "", x + 4, y + height - 4);
  }
}

async function imageOf(svg: SVGElement, width: number, height: number): Promise<HTMLImageElement | undefined> {
  const copy = svg.cloneNode(true) as SVGElement;
  const originals = svg.querySelectorAll("path, rect, line");
  copy.querySelectorAll("path, rect, line").forEach((part, index) => {
    const original = originals[index];
    if (original === undefined) return;
    const { fill, stroke, opacity } = getComputedStyle(original);
    part.setAttribute("fill", fill);
    part.setAttribute("stroke", stroke);
    part.setAttribute("opacity", opacity);
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  try {
    await image.decode();
    return image;
  } catch {
    return undefined;
  }
}
