/** A worker thread: checks packed transactions and answers. Started by `EvmPool`. */

import { parentPort } from 'node:worker_threads';
import { bodyTransactions } from '@squad/types';
import { admitEvm } from './admit-evm.ts';
import { type CheckRequest, packAnswer, WORKER_READY } from './worker-protocol.ts';

parentPort?.on('message', ({ id, chainId, rules, packed }: CheckRequest) => {
  const outcomes = bodyTransactions(packed).map((raw) => admitEvm(chainId, raw, rules));
  const answer = packAnswer(id, outcomes);
  parentPort?.postMessage(answer, [answer.records.buffer as ArrayBuffer]);
});

parentPort?.postMessage(WORKER_READY);
