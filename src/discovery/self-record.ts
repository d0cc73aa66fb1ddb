/** What this stack says of itself: configuration, identity, host address and what the router wrote. Pure. */
import type { DiscoveryConfig } from '../config/discovery-config.ts';
import type { StackRecord } from '../record/record.ts';
import type { RouterFile } from '../state/router-file.ts';
import type { InstanceIdentity } from './identity.ts';

export interface SelfInput {
  readonly config: Pick<DiscoveryConfig, 'stackId' | 'vni'>;
  readonly identity: InstanceIdentity;
  readonly hostIp: string;
  /** undefined while there is no router: the stack is announced without subnets. */
  readonly plane: RouterFile | undefined;
  readonly seq: number;
}

export function selfRecord({ config, identity, hostIp, plane, seq }: SelfInput): StackRecord {
  return {
    stack_id: config.stackId,
    vni: config.vni,
    host_ip: hostIp,
    subnets: plane?.subnets ?? [],
    ...(plane?.gateway_ip && { gateway_ip: plane.gateway_ip }),
    ...(plane?.vtep_mac && { vtep_mac: plane.vtep_mac }),
    ...(plane?.vxlan_port && { vxlan_port: plane.vxlan_port }),
    ...(plane?.public_keys && { public_keys: plane.public_keys }),
    ...(plane?.wg_public_key && { wg_public_key: plane.wg_public_key }),
    ...(plane?.wg_port && { wg_port: plane.wg_port }),
    ...(plane?.wg_slot && { wg_slot: plane.wg_slot }),
    ...(plane?.wg_other_public_key && { wg_other_public_key: plane.wg_other_public_key }),
    ...(plane?.wg_other_port && { wg_other_port: plane.wg_other_port }),
    ...identity,
    seq,
  };
}
