/** Images from one engine to others, without a registry and without the layers that are there already. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import * as v from 'valibot';
import { BLOCK, indexArchive, presentFiles, type ReadAt, ranges, type SavedImage } from './archive.ts';
import { CommandFailed } from './command.ts';
import type { Host } from './host.ts';

const ANSWER_MS = 30_000;
/** A gigabyte over a slow line. */
const TRANSFER_MS = 1_800_000;
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const NO_MORE_BYTES = Buffer.alloc(2 * BLOCK);

const ManifestSchema = v.array(
  v.object({ Config: v.string(), RepoTags: v.nullable(v.array(v.string())), Layers: v.array(v.string()) }),
);
const ConfigSchema = v.object({ rootfs: v.object({ diff_ids: v.array(v.string()) }) });

export interface Archive {
  readonly path: string;
  readonly entries: Awaited<ReturnType<typeof indexArchive>>;
  readonly images: readonly SavedImage[];
}

/**
 * What tells an image from another of the same name, for each that the host has. Not its id: the containerd image store counts ids
 * differently than the classic one.
 */
export async function imageIdentities(host: Host, images: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const image of images) {
    const inspect = ['image', 'inspect', '--format', '{{.Created}} {{json .RootFS.Layers}}', image];
    const identity = await host.docker(inspect, { withinMs: ANSWER_MS }).catch((cause) => {
      if (cause instanceof CommandFailed && /no such image/i.test(cause.message)) return '';
      throw cause;
    });
    if (identity.trim()) found.set(image, identity.trim());
  }
  return found;
}

/** Layers of every image on the host. */
async function layersOn(host: Host): Promise<string[][]> {
  const listed = await host.docker(['image', 'ls', '--quiet', '--no-trunc'], { withinMs: ANSWER_MS });
  const ids = [...new Set(listed.split('\n').filter(Boolean))];
  if (ids.length === 0) return [];
  const format = ['image', 'inspect', '--format', '{{json .RootFS.Layers}}', ...ids];
  const output = await host.docker(format, { withinMs: ANSWER_MS });
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as string[] | null) ?? []);
}

/** Saves images of a host into a file on this desk. */
export async function fetchArchive(from: Host, images: readonly string[], path: string): Promise<Archive> {
  await from.docker(['save', '--output', path, ...images], { withinMs: TRANSFER_MS });
  const file = await open(path);
  try {
    const readAt: ReadAt = async (offset, length) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const entries = await indexArchive(readAt);
    const json = async (name: string): Promise<unknown> => {
      const entry = entries.find((candidate) => candidate.name === name);
      if (!entry || entry.size > MAX_CONFIG_BYTES) throw new Error(`the saved images have no ${name}`);
      return JSON.parse((await readAt(entry.data, entry.size)).toString('utf8'));
    };
    const saved: SavedImage[] = [];
    for (const { Config, Layers } of v.parse(ManifestSchema, await json('manifest.json'))) {
      saved.push({ files: Layers, layers: v.parse(ConfigSchema, await json(Config)).rootfs.diff_ids });
    }
    return { path, entries, images: saved };
  } finally {
    await file.close();
  }
}

async function* parts(path: string, stretches: readonly { start: number; end: number }[]): AsyncGenerator<Buffer> {
  for (const { start, end } of stretches)
    yield* createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 20 });
  yield NO_MORE_BYTES;
}

async function load(to: Host, archive: Archive, without: ReadonlySet<string>): Promise<number> {
  const stretches = ranges(archive.entries, without);
  await to.docker(['load', '--quiet'], { withinMs: TRANSFER_MS, input: Readable.from(parts(archive.path, stretches)) });
  return stretches.reduce((sum, { start, end }) => sum + end - start, 0);
}

export interface Sent {
  readonly bytes: number;
  /** More than the missing layers had to be sent. */
  readonly whole: boolean;
}

/** The containerd image store skips a file that is not in the archive without a word, and has half an image then. */
async function wantsEveryLayer(host: Host): Promise<boolean> {
  const status = await host.docker(['info', '--format', '{{json .DriverStatus}}'], { withinMs: ANSWER_MS });
  return status.includes('io.containerd.snapshotter');
}

/**
 * Sends what the host lacks. The classic image store does not look for a layer's file when it has the layer; other stores get everything.
 * @throws CommandFailed, HostLost
 */
export async function sendArchive(to: Host, archive: Archive): Promise<Sent> {
  if (await wantsEveryLayer(to)) return { bytes: await load(to, archive, new Set()), whole: true };
  const without = presentFiles(archive.images, await layersOn(to));
  try {
    return { bytes: await load(to, archive, without), whole: false };
  } catch (cause) {
    if (without.size === 0 || !(cause instanceof CommandFailed)) throw cause;
    return { bytes: await load(to, archive, new Set()), whole: true };
  }
}
