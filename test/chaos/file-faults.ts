/** What befalls the files of the shared volume, and the volume. */

import { TIMES } from './compose-file.ts';
import { diskFull } from './machine-faults.ts';
import { filesAgainAndAgain, inVolume, signal, volumeReadOnly } from './stack-faults.ts';
import { type Fault, SLACK } from './stage.ts';

const { PEER_TIMEOUT } = TIMES;
const GARBAGE = `head -c 3000 /dev/urandom`;

export const FILE_FAULTS: readonly Fault[] = [
  {
    name: 'discovery-file-truncated',
    mixes: true,
    promise: 'no probe lost; the last good file counts',
    within: SLACK,
    lossless: true,
    run: inVolume('truncate -s 700 discovery.json'),
  },
  {
    name: 'discovery-file-garbage',
    mixes: true,
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume(`${GARBAGE} >discovery.json`),
  },
  {
    name: 'discovery-file-deleted',
    mixes: true,
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume('rm -f discovery.json'),
  },
  {
    name: 'router-file-garbage',
    mixes: true,
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume(`${GARBAGE} >router.json`),
  },
  {
    name: 'router-file-deleted',
    mixes: true,
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: inVolume('rm -f router.json'),
  },
  {
    name: 'volume-read-only',
    mixes: true,
    promise: 'no probe lost, also when Discovery starts meanwhile',
    within: SLACK,
    lossless: true,
    run: volumeReadOnly,
  },
  {
    name: 'files-garbage-and-killed',
    mixes: true,
    promise: 'PEER_TIMEOUT',
    within: PEER_TIMEOUT + SLACK,
    local: true,
    run: async (stage) => {
      await inVolume(`${GARBAGE} >discovery.json; ${GARBAGE} >router.json; touch discovery.json.deadbeef.tmp`)(stage);
      await signal('discovery', 'KILL')(stage);
      await signal('router', 'KILL')(stage);
    },
  },
  {
    name: 'files-damaged-all-the-time',
    promise: 'no probe lost',
    within: SLACK,
    lossless: true,
    run: filesAgainAndAgain,
  },
  {
    name: 'disk-full',
    promise: 'no probe lost, also when both daemons start meanwhile',
    within: SLACK,
    lossless: true,
    run: diskFull,
  },
];
