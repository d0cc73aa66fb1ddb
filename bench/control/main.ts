/** One measurement of the control plane, inside namespaces of its own: prints its findings as JSON. Started by `isolated.ts`. */

import { MEASUREMENTS } from './measurements.ts';
import { mountTemporary } from './namespaces.ts';

const [name = '', quick] = process.argv.slice(2);
await mountTemporary();
const findings = await MEASUREMENTS[name]!({ quick: quick === 'quick' });
process.stdout.write(JSON.stringify(findings), () => process.exit(0));
