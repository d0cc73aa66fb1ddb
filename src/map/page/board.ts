/** The cards: this host in the middle, the others on both sides, each with its stacks. */
import type { MapPeer, MapView } from '../map-view.ts';
import { byId, element, setText } from './dom.ts';
import type { History } from './history.ts';
import { Row } from './row.ts';
import { drawTunnels } from './tunnels.ts';

interface Card {
  readonly node: HTMLElement;
  readonly count: HTMLElement;
  readonly list: HTMLElement;
}

function matches(peer: MapPeer, words: string): boolean {
  return `${peer.stack} ${peer.host} ${peer.subnets.join(' ')} ${peer.gateway}`.toLowerCase().includes(words);
}

/** Puts the children in this order, and touches nothing that is in its place: the focus stays where it is. */
function arrange(parent: Element, children: readonly Element[]): void {
  for (const child of [...parent.children]) if (!children.includes(child)) child.remove();
  for (const [index, child] of children.entries())
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
}

export class Board {
  readonly #rows = new Map<string, Row>();
  readonly #cards = new Map<string, Card>();
  readonly #history: History;
  readonly #self = element('div', 'self');
  readonly #selfName = element('span', 'name');
  readonly #selfUnder = element('span', 'under');
  #view: MapView | undefined;
  #words = '';

  constructor(history: History) {
    this.#history = history;
    const mark = element('span', 'mark', '•');
    mark.setAttribute('aria-hidden', 'true');
    const name = element('span', '', this.#selfName, element('span', 'unseen', ', this stack'));
    this.#self.append(mark, name, element('span', 'figure', 'this stack'), this.#selfUnder);
    new ResizeObserver(() => this.draw()).observe(byId('map'));
  }

  filter(words: string): void {
    this.#words = words.trim().toLowerCase();
    if (this.#view) this.show(this.#view);
  }

  show(view: MapView): void {
    this.#view = view;
    const { self } = view;
    if (!self) return;
    const peers = view.peers.filter((peer) => matches(peer, this.#words));
    const hosts = [...new Set(peers.map(({ host }) => host))].filter((host) => host !== self.host);
    hosts.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    setText(this.#selfName, self.stack);
    setText(this.#selfUnder, [self.subnets.join(', '), `VNI ${self.vni}`].filter(Boolean).join(' · '));
    const cards = new Map([self.host, ...hosts].map((host) => [host, this.#fill(host, peers, self.host)]));
    for (const key of this.#cards.keys()) if (!cards.has(key)) this.#cards.delete(key);
    const at = (wanted: (index: number) => boolean) =>
      hosts.filter((_, i) => wanted(i)).map((host) => cards.get(host)!.node);
    arrange(byId('centre'), [cards.get(self.host)!.node]);
    // One other host stands to the right, as one reads.
    arrange(
      byId('right'),
      at((i) => i % 2 === 0),
    );
    arrange(
      byId('left'),
      at((i) => i % 2 === 1),
    );
    const present = new Set(view.peers.map(({ key }) => key));
    for (const key of this.#rows.keys()) if (!present.has(key)) this.#rows.delete(key);
    this.draw();
  }

  #card(host: string): Card {
    const known = this.#cards.get(host);
    if (known) return known;
    const count = element('small');
    const list = element('ul');
    const heading = element('h2', '', element('span', '', host), count);
    const node = element('section', 'host', heading, list);
    heading.id = `host-${host.replaceAll(/[^\w-]/g, '-')}`;
    node.setAttribute('aria-labelledby', heading.id);
    const card = { node, count, list };
    this.#cards.set(host, card);
    return card;
  }

  #fill(host: string, peers: readonly MapPeer[], own: string): Card {
    const card = this.#card(host);
    const here = peers
      .filter((peer) => peer.host === host)
      .sort((a, b) => a.stack.localeCompare(b.stack, 'en', { numeric: true }));
    const rows = here.map((peer) => this.#row(peer));
    const total = here.length + Number(host === own);
    setText(card.count, host === own ? 'this host' : total === 1 ? '1 stack' : `${total} stacks`);
    const first = host === own ? [this.#ownItem()] : [];
    arrange(card.list, [...first, ...rows.map(({ node }) => node)]);
    return card;
  }

  #ownItem(): HTMLElement {
    return (this.#self.parentElement as HTMLElement | null) ?? element('li', '', this.#self);
  }

  #row(peer: MapPeer): Row {
    const row = this.#rows.get(peer.key) ?? new Row(peer.key, () => this.#view && this.show(this.#view));
    this.#rows.set(peer.key, row);
    row.update(peer, this.#history);
    return row;
  }

  draw(): void {
    const ends = (this.#view?.peers ?? []).flatMap((peer) => {
      const row = this.#rows.get(peer.key);
      if (!row?.node.isConnected) return [];
      return [{ peer, node: row.node, open: row.open, rate: this.#history.rate(peer) ?? 0 }];
    });
    if (this.#self.isConnected) drawTunnels(byId('tunnels') as unknown as SVGElement, this.#self, ends);
  }
}
