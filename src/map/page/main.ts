/** The map's page: asks the server every two seconds while somebody looks. */
import type { Health, MapView } from '../map-view.ts';
import { Board } from './board.ts';
import { byId, element, setText } from './dom.ts';
import { History } from './history.ts';
import { ago, SPOKEN } from './words.ts';

const EVERY_MS = 2000;
const LATE_MS = 8000;
/** With fewer stacks everything is in sight. */
const SEARCH_FROM = 13;

const history = new History();
const board = new Board(history);
const before = new Map<string, Health>();
let answered = 0;

const many = (count: number, one: string, several: string) => `${count} ${count === 1 ? one : several}`;

function showCounts(view: MapView): void {
  const well = view.peers.filter(({ health }) => health === 'good' || health === 'known').length + view.hidden;
  const count = (...wanted: Health[]) => view.peers.filter(({ health }) => wanted.includes(health)).length;
  const rows: [Health, number, string][] = [
    ['good', well, 'connected'],
    ['lossy', count('lossy', 'stale', 'waiting'), 'to look at'],
    ['broken', count('broken'), 'unreachable'],
    ['refused', count('refused'), 'refused'],
  ];
  const items = rows.filter(([health, number]) => number > 0 || health === 'good');
  const text = items.map(([, number, words]) => `${number} ${words}`).join(', ');
  const list = byId('counts');
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.replaceChildren(
    ...items.map(([health, number, words]) => {
      const item = element('li', '', `${number} ${words}`);
      item.dataset.health = health;
      return item;
    }),
  );
}

function showAlerts(view: MapView): void {
  const problems = [
    ...(view.self?.problems ?? []),
    ...(view.hidden > 0 ? [`${many(view.hidden, 'further stack is', 'further stacks are')} well and not drawn.`] : []),
  ];
  const alerts = byId('alerts');
  alerts.hidden = problems.length === 0;
  if (alerts.dataset.text === problems.join('\n')) return;
  alerts.dataset.text = problems.join('\n');
  alerts.replaceChildren(...problems.map((problem) => element('p', '', problem)));
}

/** Says what has changed to those who do not see it. */
function tellNews(view: MapView): void {
  const news = view.peers
    .filter(({ key, health }) => before.size > 0 && before.get(key) !== health)
    .map(({ stack, health, words }) =>
      health === 'good' || health === 'known' ? `${stack}: ${SPOKEN[health]}` : `${stack}: ${words}`,
    );
  before.clear();
  for (const { key, health } of view.peers) before.set(key, health);
  if (news.length > 0) setText(byId('news'), news.slice(0, 5).join('. '));
}

function show(view: MapView): void {
  const { self, problem } = view;
  history.add(view);
  setText(byId('title'), self?.stack ?? 'waiting');
  document.title = self ? `${self.stack} · Docker Router` : 'Docker Router';
  const empty =
    problem ??
    (view.peers.length === 0
      ? 'No other stack has been found yet. Stacks with the same VNI appear here by themselves.'
      : '');
  byId('empty').hidden = empty === '';
  setText(byId('empty'), empty);
  byId('map').hidden = !self;
  byId('search').hidden = view.peers.length < SEARCH_FROM;
  showCounts(view);
  showAlerts(view);
  board.show(view);
  tellNews(view);
}

function showAge(): void {
  const late = Date.now() - answered > LATE_MS;
  byId('live').classList.toggle('late', late);
  setText(
    byId('live-text'),
    answered === 0 ? 'connecting' : late ? `no answer, ${ago(Date.now() - answered)}` : 'live',
  );
}

async function refresh(): Promise<void> {
  try {
    const response = await fetch('/view.json', { signal: AbortSignal.timeout(EVERY_MS * 3) });
    if (!response.ok) throw new Error(await response.text());
    const view = (await response.json()) as MapView;
    answered = Date.now();
    show(view);
  } catch {
    // The age says so, and what was seen last stays.
  }
  showAge();
}

async function watch(): Promise<never> {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** Arrow keys go from stack to stack, as Tab does, but not through the rest of the page. */
function onKey(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const inField = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !inField && !byId('search').hidden) {
    event.preventDefault();
    byId('filter').focus();
  }
  if (!step || (inField && step < 0)) return;
  const buttons = [...document.querySelectorAll<HTMLButtonElement>('.stack > button')];
  if (buttons.length === 0) return;
  const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
  buttons[Math.min(buttons.length - 1, Math.max(0, at + step))]!.focus();
  event.preventDefault();
}

byId('filter').addEventListener('input', (event) => board.filter((event.target as HTMLInputElement).value));
document.addEventListener('keydown', onKey);
document.addEventListener('visibilitychange', () => void (!document.hidden && refresh()));
setInterval(showAge, 1000);
void watch();
