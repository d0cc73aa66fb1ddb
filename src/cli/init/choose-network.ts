/** Which of the project's networks the router joins: the one that is the way out of most services. Pure. */
import { attachments, fullName, type Network, type Project } from './model.ts';

export interface Member {
  readonly service: string;
  /** Absent: the service is connected. Otherwise why it is not, in words. */
  readonly why?: string;
}

export interface Choice {
  readonly key: string;
  readonly members: readonly Member[];
}

/** Why the router cannot be the gateway of a network; undefined when it can. */
export function unusable(network: Network): string | undefined {
  if (network.external) return 'external: made outside of this project';
  if (network.internal) return 'internal: it has no way out that could lead to the router';
  if (network.driver && !['bridge', 'default'].includes(network.driver)) return `driver ${network.driver}`;
  if (network.ipv4 === false) return 'without IPv4';
  return undefined;
}

/** The networks that a project's services are on; `default` where one of them names none. */
function usedNetworks(project: Project): string[] {
  const used = [...project.services.values()].flatMap((service) => [...attachments(service).keys()]);
  return [...new Set(used)];
}

/** The network whose gateway is a service's default route: the highest gw_priority, then the first name (run on engine 26.1). Internal ones never are. */
export function gatewayNetwork(project: Project, service: string): string | undefined {
  const attached = [...attachments(project.services.get(service)!)];
  const candidates = attached
    .filter(([key]) => !project.networks.get(key)?.internal)
    .map(([key, { gwPriority }]) => ({ key, gwPriority, name: fullName(project, key) }));
  candidates.sort((a, b) => b.gwPriority - a.gwPriority || (a.name < b.name ? -1 : 1));
  return candidates[0]?.key;
}

function whyNot(project: Project, service: string, key: string): string | undefined {
  const { networkMode } = project.services.get(service)!;
  if (networkMode?.startsWith('service:')) {
    const other = networkMode.slice('service:'.length);
    const { networkMode: its } = project.services.get(other) ?? {};
    if (its !== undefined || !project.services.has(other)) return `network_mode: ${networkMode}`;
    const why = whyNot(project, other, key);
    return why && `it shares the network of ${other}, ${why}`;
  }
  if (networkMode === 'host') return 'network_mode: host, the network of the host';
  if (networkMode !== undefined) return `network_mode: ${networkMode}`;
  const on = [...attachments(project.services.get(service)!).keys()];
  if (!on.includes(key)) return `only on ${on.join(', ')}`;
  const way = gatewayNetwork(project, service);
  if (way === key) return undefined;
  return `its way out is the network ${way}; with Docker Engine 28 this makes it ${key}: networks: { ${key}: { gw_priority: 1 } }`;
}

/** The choice with every service's part in it; undefined when no network will do. `wanted` is the user's. */
export function chooseNetwork(project: Project, wanted?: string): Choice | undefined {
  const services = [...project.services.keys()];
  const choices = usedNetworks(project)
    .filter((key) => (wanted === undefined ? !unusable(project.networks.get(key) ?? { ipam: [] }) : key === wanted))
    .map((key) => {
      const members = services.map((service) => {
        const why = whyNot(project, service, key);
        return { service, ...(why !== undefined && { why }) };
      });
      return { key, members, connected: members.filter(({ why }) => why === undefined).length };
    });
  choices.sort((a, b) => b.connected - a.connected || Number(b.key === 'default') - Number(a.key === 'default'));
  return choices[0] && (wanted !== undefined || choices[0].connected > 0) ? choices[0] : undefined;
}

/** Networks in use and why each will not do, for the message. */
export function networkTroubles(project: Project): string[] {
  return usedNetworks(project).map((key) => {
    const why = unusable(project.networks.get(key) ?? { ipam: [] });
    return `${key}: ${why ?? 'no service has its way out there'}`;
  });
}
