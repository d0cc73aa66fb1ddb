/** Runs once in a container on the host's network and prints what Discovery would see of the host. */
import { HostView } from '../discovery/host.ts';

export interface HostFacts {
  readonly address?: string;
  readonly interface?: string;
  readonly mtu?: number;
}

const view = new HostView(process.argv[2] || 'auto');
await view.refresh();
const facts: HostFacts = {
  ...(view.address !== undefined && { address: view.address }),
  ...(view.interfaceName !== undefined && { interface: view.interfaceName }),
  ...(view.mtu !== undefined && { mtu: view.mtu }),
};
process.stdout.write(`${JSON.stringify(facts)}\n`);
