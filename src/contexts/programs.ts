/** Small programs that run inside containers: TypeScript of this repository as the text of one module, for `node --eval`. */
import { fileURLToPath } from 'node:url';

/** @param entry a file that needs nothing but Node itself and other files of `src/` */
export async function bundleProgram(entry: URL): Promise<string> {
  // Only where it is needed: what imports this file for its other parts may run without the development packages.
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
  });
  return outputFiles[0]!.text;
}

/** Marks the containers and volumes that these tools make, so that whoever cleans up finds them. */
export const LABEL = 'io.docker-router.contexts';

/**
 * Arguments of `docker` that run a program in a container of the router's image, which every host has and which has Node.
 * @param options further options of `docker run`
 * @param operands what the program finds in process.argv from the third on, as when it is a file
 */
export function runProgram(
  image: string,
  program: string,
  options: readonly string[],
  operands: readonly string[],
): string[] {
  const shut = ['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--read-only', '--no-healthcheck'];
  return [
    'run',
    '--rm',
    '--label',
    LABEL,
    ...shut,
    ...options,
    '--entrypoint',
    'node',
    image,
    ...evaluate(program, operands),
  ];
}

/** Arguments of `node`. */
export function evaluate(program: string, operands: readonly string[]): string[] {
  return ['--input-type=module', '--eval', program, 'program', ...operands];
}
