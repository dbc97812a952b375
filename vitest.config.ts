import { defineConfig } from 'vitest/config';

// `unit`: every package's *.test.ts, from source. `e2e`: real processes, one file at a time. `faults`: the same, longer,
// by its own command.
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
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
          // All cores: by default one is left alone, which of two is half.
          maxWorkers: '100%',
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        ...source,
        test: {
          name: 'e2e',
          include: ['packages/{testnet,bench}/e2e/**/*.e2e.ts'],
          fileParallelism: false,
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
