/** One stack in its host: a button that opens what there is to say of it. */
import type { MapPeer } from '../map-view.ts';
import { element, setText, svg } from './dom.ts';
import type { History, Sample } from './history.ts';
import { ago, bytes, MARKS, milliseconds, percent, SPOKEN } from './words.ts';

const WIDTH = 200;
const HEIGHT = 40;

/** Points of a line over the last measurements; empty with fewer than two. */
function points(samples: readonly Sample[]): [number, number][] {
  const known = samples.filter(({ roundTripMs }) => roundTripMs !== undefined);
  const top = Math.max(...known.map(({ roundTripMs }) => roundTripMs!), 0.001);
  if (known.length < 2) return [];
  return known.map(({ roundTripMs }, i) => [
    (i / (known.length - 1)) * WIDTH,
    HEIGHT - 3 - (roundTripMs! / top) * (HEIGHT - 8),
  ]);
}

function spark(samples: readonly Sample[]): Node[] {
  const line = points(samples);
  if (line.length === 0) return [];
  const d = `M${line.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')}`;
  const picture = svg('svg', {
    class: 'spark',
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  picture.append(svg('path', { class: 'area', d: `${d}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z` }), svg('path', { d }));
  const trips = samples.flatMap(({ roundTripMs }) => roundTripMs ?? []);
  const words = `round trip, ${milliseconds(Math.min(...trips))} to ${milliseconds(Math.max(...trips))} since the page was opened`;
  return [element('figure', '', picture, element('figcaption', '', words))];
}

function facts(peer: MapPeer, rate: number | undefined): [string, string][] {
  const all: [string, string | undefined][] = [
    ['Subnets', peer.subnets.join(', ')],
    ['Gateway', peer.gateway],
    ['Tunnel to', peer.endpoint],
    ['VNI', String(peer.vni)],
    ['Round trip', peer.roundTripMs === undefined ? undefined : milliseconds(peer.roundTripMs)],
    ['Loss', peer.loss === undefined ? undefined : percent(peer.loss)],
    ['Received', peer.receivedBytes === undefined ? undefined : bytes(peer.receivedBytes)],
    ['Just now', rate === undefined ? undefined : `${bytes(rate)}/s`],
    ['Found by', peer.source],
    ['Last heard', ago(Date.now() - Date.parse(peer.lastSeen))],
  ];
  return all.flatMap(([name, text]) => (text ? [[name, text]] : []));
}

function underline(peer: MapPeer, rate: number | undefined): string {
  if (peer.health !== 'good' && peer.health !== 'known') return peer.words;
  return rate !== undefined && rate >= 1 ? `${peer.subnets.join(', ')}  ↓ ${bytes(rate)}/s` : peer.subnets.join(', ');
}

export class Row {
  readonly node = element('li', 'stack');
  readonly button = element('button');
  readonly #mark = element('span', 'mark');
  readonly #spoken = element('span', 'unseen');
  readonly #name = element('span', 'name');
  readonly #figure = element('span', 'figure');
  readonly #under = element('span', 'under');
  readonly #detail = element('div', 'detail');

  constructor(key: string, onToggle: () => void) {
    this.button.type = 'button';
    this.#mark.setAttribute('aria-hidden', 'true');
    this.#detail.id = `detail-${key.replaceAll(/[^\w-]/g, '-')}`;
    this.#detail.hidden = true;
    this.button.setAttribute('aria-expanded', 'false');
    this.button.setAttribute('aria-controls', this.#detail.id);
    this.button.append(this.#mark, element('span', '', this.#name, this.#spoken), this.#figure, this.#under);
    this.node.append(this.button, this.#detail);
    this.button.addEventListener('click', () => {
      this.button.setAttribute('aria-expanded', String(this.#detail.hidden));
      this.#detail.hidden = !this.#detail.hidden;
      onToggle();
    });
  }

  get open(): boolean {
    return !this.#detail.hidden;
  }

  update(peer: MapPeer, history: History): void {
    const rate = history.rate(peer);
    this.node.dataset.health = peer.health;
    setText(this.#mark, MARKS[peer.health]);
    setText(this.#name, peer.stack);
    setText(this.#spoken, `, ${SPOKEN[peer.health]}`);
    const trip = peer.health === 'broken' || peer.roundTripMs === undefined ? '' : milliseconds(peer.roundTripMs);
    setText(this.#figure, trip);
    setText(this.#under, underline(peer, rate));
    if (!this.open) return;
    const list = element('dl');
    for (const [name, text] of facts(peer, rate)) list.append(element('dt', '', name), element('dd', '', text));
    this.#detail.replaceChildren(list, ...spark(history.of(peer.key)));
  }
}
