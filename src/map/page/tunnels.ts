/** The lines between this stack and the others, drawn behind the cards from where these happen to stand. */
import type { MapPeer } from '../map-view.ts';
import { svg } from './dom.ts';

export interface End {
  readonly peer: MapPeer;
  readonly node: HTMLElement;
  readonly open: boolean;
  /** Bytes a second. */
  readonly rate: number;
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly middle: number;
}

/** Distance of the lines that run beside the cards, where these stand below each other. */
const GUTTER = 17;
const ROUND = 12;
/** Between a card and the line's end, which would be hidden behind it. */
const GAP = 7;

function boxOf(node: Element, origin: DOMRect): Box {
  const card = (node.closest('.host') ?? node).getBoundingClientRect();
  const line = (node.querySelector('button') ?? node).getBoundingClientRect();
  return {
    left: card.left - origin.left,
    right: card.right - origin.left,
    middle: line.top + line.height / 2 - origin.top,
  };
}

/** From one card's side into the other's, or along the gutter to the left where both stand in one column. */
function curve(from: Box, to: Box): { d: string; end: [number, number] } {
  if (to.left > from.right + 20 || to.right < from.left - 20) {
    const [x1, x2] = to.left > from.right ? [from.right, to.left - GAP] : [from.left, to.right + GAP];
    const bend = (x2 - x1) * 0.55;
    return {
      d: `M${x1} ${from.middle}C${x1 + bend} ${from.middle} ${x2 - bend} ${to.middle} ${x2} ${to.middle}`,
      end: [x2, to.middle],
    };
  }
  const x = Math.min(from.left, to.left) - GUTTER;
  const way = Math.sign(to.middle - from.middle) || 1;
  const round = Math.min(ROUND, Math.abs(to.middle - from.middle) / 2);
  const [a, b] = [from.middle + way * round, to.middle - way * round];
  const d = `M${from.left} ${from.middle}H${x + round}Q${x} ${from.middle} ${x} ${a}V${b}Q${x} ${to.middle} ${x + round} ${to.middle}H${to.left - GAP}`;
  return { d, end: [to.left - GAP, to.middle] };
}

/** 1.6 pixels for silence, one more for every tenfold traffic from a kilobyte a second on. */
function thickness(rate: number): number {
  return 1.6 + Math.min(4, Math.max(0, Math.log10(rate / 1000 + 1)));
}

function plug([x, y]: readonly [number, number], broken: boolean): SVGElement[] {
  const dot = svg('circle', { class: 'plug', cx: x, cy: y, r: broken ? 7 : 4.5 });
  const cross = svg('path', { class: 'cross', d: `M${x - 3} ${y - 3}l6 6m0 -6l-6 6` });
  return broken ? [dot, cross] : [dot];
}

/** Draws everything anew. Lines that carry traffic keep moving, since their animation has no beginning that shows. */
export function drawTunnels(canvas: SVGElement, self: HTMLElement, ends: readonly End[]): void {
  const origin = canvas.getBoundingClientRect();
  const from = boxOf(self, origin);
  const behind: SVGElement[] = [];
  const front: SVGElement[] = [];
  for (const { peer, node, open, rate } of ends) {
    if (node.offsetParent === null) continue;
    const { d, end } = curve(from, boxOf(node, origin));
    const group = svg('g', { 'data-health': peer.health });
    group.style.setProperty('--width', String(thickness(rate)));
    group.append(svg('path', { class: open ? 'tunnel chosen' : 'tunnel', 'data-health': peer.health, d }));
    if (rate >= 1 && peer.health !== 'broken' && peer.health !== 'refused') {
      const flow = svg('path', { class: 'flow', d });
      // Every line's drops are at the same place at the same time, whenever they were drawn.
      flow.style.animationDelay = `${-(performance.now() % 1100)}ms`;
      group.append(flow);
    }
    group.append(...plug(end, peer.health === 'broken' || peer.health === 'refused'));
    (open ? front : behind).push(group);
  }
  canvas.replaceChildren(...behind, ...front);
}
