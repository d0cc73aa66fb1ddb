/** Says "look again" when a file in the shared volume may have changed. */
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** inotify does not cross every file system (NFS, some virtual machines' shared folders), so the file is looked at this often anyway. */
const POLL_MS = 5000;
/** Whoever writes into the file itself makes an event for each part of it. A rename is complete when it is seen. */
const SETTLE_MS = 2;

/** Calls `onChange` soon after `path` is written, renamed or removed, and every 5 s. The folder is watched, since a rename replaces the file. */
export function watchFile(path: string, onChange: () => void): { close(): void } {
  let watcher: FSWatcher | undefined;
  let settle: NodeJS.Timeout | undefined;
  const changed = (event: string) => {
    if (event === 'rename') return onChange();
    settle ??= setTimeout(() => {
      settle = undefined;
      onChange();
    }, SETTLE_MS);
  };
  const start = () => {
    try {
      watcher = watch(dirname(path), (event, name) => {
        if (name === null || name === basename(path)) changed(event);
      });
      watcher.on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // The folder is not there or inotify watches are used up: polling goes on and tries again.
      watcher = undefined;
    }
  };
  start();
  const poll = setInterval(() => {
    if (!watcher) start();
    onChange();
  }, POLL_MS);
  return {
    close() {
      clearInterval(poll);
      clearTimeout(settle);
      watcher?.close();
    },
  };
}
