import { defineConfig } from 'vitest/config';

// `unit` and `unit-…`: every package's *.test.ts, from source. `e2e`: real processes, two files at a time. `faults`: the same, longer,
// one at a time, by its own command.
/**
 * Their tests share modules: what a file imports is evaluated once for each worker, not for each file, a third of the time. The
 * other packages' tests put something in the place of the file system or start programs, and have their modules for themselves.
 */
const TOGETHER = 'packages/{client,crypto,network,rollup-node,sequencer,service,types}';
/** The same, among themselves: the simulation remembers what the types of the protocol compute, and takes their values for unchangeable. */
const CONSENSUS = 'packages/consensus';

const unit = {
  // All cores: by default one is left alone, which of two is half.
  maxWorkers: '100%',
  testTimeout: 60_000,
  hookTimeout: 60_000,
};
const source = { resolve: { conditions: ['source'] }, ssr: { resolve: { conditions: ['source'] } } };

export default defineConfig({
  test: {
    // `npm run coverage`: the code that safety rests on.
    coverage: {
      provider: 'v8',
      include: ['packages/{consensus,storage}/src/**/*.ts'],
      exclude: ['**/api.ts', '**/index.ts'],
      reporter: ['text', 'html'],
    },
    projects: [
      {
        ...source,
        test: {
          ...unit,
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
          exclude: [`${TOGETHER}/**`, `${CONSENSUS}/**`],
        },
      },
      ...[
        { name: 'unit-together', packages: TOGETHER },
        { name: 'unit-consensus', packages: CONSENSUS },
      ].map(({ name, packages }) => ({
        ...source,
        test: { ...unit, name, include: [`${packages}/{src,test}/**/*.test.ts`], isolate: false },
      })),
      {
        ...source,
        test: {
          name: 'e2e',
          include: ['packages/{testnet,bench}/e2e/**/*.e2e.ts'],
          // They wait more than they compute: two at a time take two thirds of the time.
          maxWorkers: 2,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        ...source,
        test: {
          name: 'faults',
          include: ['packages/testnet/e2e/**/*.faults.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
