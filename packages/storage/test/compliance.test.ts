import { join } from 'node:path';
import {
  createNodeStore,
  MemoryKeyValueStore,
  MemoryLog,
  openKeyValueStore,
  openLog,
  openNodeStore,
} from '../src/index.ts';
import { describeKeyValueStore, describeLog } from './compliance.ts';
import { describeNodeStore } from './node-store-compliance.ts';
import { temporaryFolder } from './support.ts';

describeLog('disk', async (segmentBytes) => {
  const directory = join(await temporaryFolder(), 'deep', 'log');
  return { open: () => openLog({ directory, ...(segmentBytes === undefined ? {} : { segmentBytes }) }) };
});

describeLog('memory', async (segmentBytes) => {
  let log: MemoryLog | undefined;
  return {
    open: async () => {
      log = log?.reopen() ?? new MemoryLog(segmentBytes === undefined ? {} : { segmentBytes });
      return log;
    },
  };
});

describeKeyValueStore('disk', async () => {
  const directory = join(await temporaryFolder(), 'index');
  return { open: () => openKeyValueStore({ directory }) };
});

describeKeyValueStore('memory', async () => {
  let store: MemoryKeyValueStore | undefined;
  return {
    open: async () => {
      store = store?.reopen() ?? new MemoryKeyValueStore();
      return store;
    },
  };
});

describeNodeStore('disk', async (options) => {
  const directory = await temporaryFolder();
  return { open: () => openNodeStore({ directory, networkId: new Uint8Array(32).fill(5), ...options }) };
});

describeNodeStore('memory', async ({ segmentBytes, batchCacheBytes }) => {
  let log: MemoryLog | undefined;
  let keyValueStore: MemoryKeyValueStore | undefined;
  return {
    open: async () => {
      log = log?.reopen() ?? new MemoryLog({ segmentBytes });
      keyValueStore = keyValueStore?.reopen() ?? new MemoryKeyValueStore();
      return createNodeStore({ log, keyValueStore, batchCacheBytes });
    },
  };
});
