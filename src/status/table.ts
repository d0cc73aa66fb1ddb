/** What `docker-router status` prints for people. Pure. */
import { formatAge, formatBytes, formatMs } from '../text/units.ts';
import { endpointInWords, portsInWords } from './ports.ts';
import type { Condition, PeerView, StatusView } from './view.ts';

const MARKS: Record<Condition, string> = {
  ok: '✓',
  unreachable: '✗',
  rejected: '✗',
  stale: '!',
  waiting: '…',
  unknown: '…',
};

/** Cells of one width a column, two spaces between. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

const TITLES = [
  '  STACK',
  'STATE',
  'ADDRESSES',
  'ENDPOINT',
  'PATH',
  'ROUND TRIP',
  'LOSS',
  'RECEIVED',
  'HEARD',
  'ENCRYPTION',
];

function cells(peer: PeerView, nowMs: number): string[] {
  return [
    `${MARKS[peer.condition]} ${peer.stack_id}`,
    peer.condition,
    peer.subnets.join(',') || '-',
    endpointInWords(peer),
    peer.path === 'none' ? '-' : peer.path,
    peer.round_trip_ms === undefined ? '-' : formatMs(peer.round_trip_ms),
    peer.loss === undefined ? '-' : `${Math.round(peer.loss * 100)} %`,
    peer.received_bytes === undefined ? '-' : formatBytes(peer.received_bytes),
    `${formatAge(nowMs - Date.parse(peer.last_seen))} ago`,
    peer.path === 'none' ? '-' : peer.encryption,
  ];
}

function selfLines({ self, sources }: StatusView): string[] {
  const where = `host ${self.host_ip}${self.interface ? ` (${self.interface})` : ''}`;
  const plane = self.gateway_ip
    ? `${self.subnets.join(', ')}, gateway ${self.gateway_ip}, underlay ${self.underlay}, ${portsInWords(self.udp_ports)}, MTU ${self.mtu}`
    : 'no data plane yet';
  const found = Object.entries(sources).map(([name, words]) => `${name}: ${words}`);
  return [
    `${self.stack_id}  VNI ${self.vni}  ${where}`,
    plane,
    `discovery by ${found.join('; ') || 'nothing yet'}`,
    ...self.problems.map((problem) => `✗ ${problem}`),
  ];
}

/** @param nowMs milliseconds since 1970 */
export function statusText(view: StatusView, nowMs: number): string {
  const rows = aligned([TITLES, ...view.peers.map((peer) => cells(peer, nowMs))]);
  const table = view.peers.flatMap((peer, index) => [rows[index + 1]!, ...(peer.reason ? [`    ${peer.reason}`] : [])]);
  const body = view.peers.length === 0 ? ['no other stacks yet'] : [rows[0]!, ...table];
  return `${[...selfLines(view), '', ...body].join('\n')}\n`;
}
