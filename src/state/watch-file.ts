/** Says "look again" when a file in the shared volume may have changed. */
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** inotify does not cross every file system (NFS, some virtual machines' shared folders), so the file is looked at this often anyway. */
const POLL_MS = 5000;
/** A rename is complete when it is seen; the two or three events of one become one look. */
const SETTLE_MS = 2;

/** Calls `onChange` soon after `path` is written, renamed or removed, and every 5 s. The folder is watched, since a rename replaces the file. */
export function watchFile(path: string, onChange: () => void): { close(): void } {
  let watcher: FSWatcher | undefined;
  let settle: NodeJS.Timeout | undefined;
  const changed = () => {
    settle ??= setTimeout(() => {
      settle = undefined;
      onChange();
    }, SETTLE_MS);
  };
  const start = () => {
    try {
      watcher = watch(dirname(path), (_event, name) => {
        if (name === null || name === basename(path)) changed();
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
