/** The override file's text. Pure. */
import * as v from 'valibot';
import { type Document, isMap, isScalar, isSeq, parseDocument, type Scalar, type YAMLMap } from 'yaml';
import { marked } from './mark.ts';

export interface Override {
  /** Key of the network that the router joins. */
  readonly network: string;
  readonly subnet: string;
  /** The bridge's address; undefined: the user's file says it. */
  readonly gateway?: string;
  /** The router's; undefined: the user's file has it already. */
  readonly router?: string;
  /** Undefined: the user's file says it. */
  readonly mtu?: number;
  /** Undefined: the project's name. */
  readonly stackId?: string;
  readonly vni: number;
  /** Services that ask the router for names, and whom they ask. */
  readonly dns?: { readonly services: readonly string[]; readonly servers: readonly string[] };
  /** Names in the user's files, so that ours do not meet them. */
  readonly services: ReadonlySet<string>;
  readonly volumes: ReadonlySet<string>;
}

const HEADER = ` Your own compose file stays as it is: Compose reads this one after it.
 What it does: adds the two containers, gives the network a subnet that no other stack uses, and makes the router its gateway.`;

/** The first name that the user's files do not have. */
function freeName(names: readonly string[], taken: ReadonlySet<string>): string {
  return names.find((name) => !taken.has(name)) ?? `${names.at(-1)}-${taken.size}`;
}

/** Renames a key of a map, comments and place kept. */
function renameKey(map: YAMLMap, from: string, to: string): void {
  const pair = map.items.find(({ key }) => isScalar(key) && key.value === from);
  if (pair && isScalar(pair.key)) pair.key.value = to;
}

function renameVolume(document: Document, from: string, to: string): void {
  if (from === to) return;
  renameKey(document.get('volumes') as YAMLMap, from, to);
  for (const { value } of (document.get('services') as YAMLMap).items) {
    const volumes = isMap(value) ? value.get('volumes') : undefined;
    if (!isSeq(volumes)) continue;
    for (const item of volumes.items)
      if (isScalar(item) && String(item.value).startsWith(`${from}:`))
        item.value = to + String(item.value).slice(from.length);
  }
}

/** `["a", "b"]` on one line. */
function inline(document: Document, value: unknown) {
  const node = document.createNode(value);
  if (isMap(node) || isSeq(node)) {
    node.flow = true;
    for (const item of node.items) if (isMap(item)) item.flow = true;
  }
  return node;
}

function setValue(document: Document, path: readonly string[], value: string, comment: string): void {
  const node = document.getIn(path, true) as Scalar | undefined;
  if (!node) throw new Error(`the template has no ${path.join('.')}`);
  node.value = value;
  node.comment = ` ${comment}`;
}

function setNetwork(document: Document, override: Override): void {
  const { network, subnet, gateway, router, mtu } = override;
  const entry = {
    subnet,
    ...(gateway && { gateway }),
    ...(router && { aux_addresses: { DefaultGatewayIPv4: router } }),
  };
  const node = document.createNode({}) as YAMLMap;
  if (mtu !== undefined) {
    const options = inline(document, { 'com.docker.network.driver.mtu': String(mtu) });
    options.comment = " room for the tunnel's header";
    node.set('driver_opts', options);
  }
  if (gateway || router) node.set('ipam', document.createNode({ config: inline(document, [entry]) }));
  document.set(spaced(document, 'networks'), document.createNode({}));
  document.setIn(['networks', network], node.items.length > 0 ? node : null);
}

function setDns(document: Document, { dns }: Override): void {
  if (!dns || dns.services.length === 0) return;
  const services = document.get('services') as YAMLMap;
  for (const [index, name] of dns.services.entries()) {
    const key = document.createNode(name) as Scalar;
    if (index === 0) {
      key.spaceBefore = true;
      key.commentBefore = ' So that your services find those of the other stacks by name.';
    }
    services.add(document.createPair(key, { dns: inline(document, dns.servers) }));
  }
}

/** @param template text of examples/docker-router.yml */
export function overrideText(template: string, override: Override): string {
  const document = parseDocument(template);
  const services = document.get('services') as YAMLMap;
  document.commentBefore = HEADER;
  // The template's own head speaks to people who copy it.
  const contents = document.contents as YAMLMap<Scalar>;
  contents.commentBefore = undefined;
  contents.items[0]!.key.commentBefore = undefined;
  const stackId = override.stackId;
  if (stackId !== undefined)
    setValue(
      document,
      ['services', 'discovery', 'environment', 'STACK_ID'],
      `\${STACK_ID:-${stackId}}`,
      'unique among all stacks',
    );
  if (override.vni !== 1000)
    setValue(
      document,
      ['services', 'discovery', 'environment', 'VNI'],
      `\${VNI:-${override.vni}}`,
      'that of the other stacks',
    );
  if (override.network !== 'default')
    document.setIn(['services', 'router', 'networks'], inline(document, [override.network]));
  setNetwork(document, override);
  renameVolume(document, 'docker-router', freeName(['docker-router', 'docker-router-state'], override.volumes));
  renameKey(services, 'discovery', freeName(['discovery', 'docker-router-discovery'], override.services));
  renameKey(services, 'router', freeName(['router', 'docker-router'], override.services));
  renameKey(services, 'map', freeName(['map', 'docker-router-map'], override.services));
  setDns(document, override);
  moveLast(document, 'volumes');
  return marked(document.toString({ lineWidth: 0, flowCollectionPadding: false }));
}

/** A key with an empty line before it. */
function spaced(document: Document, key: string): Scalar {
  const node = document.createNode(key) as Scalar;
  node.spaceBefore = true;
  return node;
}

function moveLast(document: Document, key: string): void {
  const value = document.get(key, true);
  document.delete(key);
  document.set(spaced(document, key), value);
}

const Written = v.object({
  networks: v.record(
    v.string(),
    v.nullish(v.object({ ipam: v.object({ config: v.array(v.object({ subnet: v.string() })) }) })),
  ),
});

/** Subnet in a file that init wrote before; undefined when it holds none, or somebody has damaged it. */
export function previousSubnet(text: string): string | undefined {
  try {
    const { networks } = v.parse(Written, parseDocument(text).toJS());
    return Object.values(networks).find((network) => network)?.ipam.config[0]?.subnet;
  } catch {
    return undefined;
  }
}
