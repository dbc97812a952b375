/**
 * The blocks of an OP rollup as its execution client has them, for op-node's methods: hashes, state roots and withdrawal roots
 * are the client's. A header is taken if it hashes to what the client took when it was built, as far as that is still known,
 * and stands for the derived block: its `prevRandao` is that block's hash.
 */

import { type Bytes32, encodeL1Header, equalBytes, fromHex, L1Header, toHex, ZERO_HASH } from '@squad/types';
import type { EngineDriver } from '../engine/driver.ts';
import { keccak256 } from '../execution/keccak.ts';
import { hexOf } from '../hex.ts';
import type { OpBlock, OpExecutor } from '../stacks/op/executor.ts';
import type { L1Origin } from '../stacks/op/origin.ts';
import { refused } from './errors.ts';
import type { L1BlockRef, OpBlocks } from './op-methods.ts';

export function clientOpBlocks(
  executor: OpExecutor,
  engine: Pick<EngineDriver, 'headNumber' | 'takenHash' | 'query'>,
): OpBlocks {
  const header = (number: number) => readHeader(executor, engine, number);
  return {
    heads: () => {
      if (engine.headNumber === undefined) throw notDriven('it took no block yet');
      const unsafe = Math.min(engine.headNumber, executor.head.number);
      return { unsafe, final: Math.min(executor.latest.number, unsafe) };
    },
    ref: async (number) => {
      const { hash, header: found, block } = await header(number);
      const { origin, sequenceNumber } = block.place;
      return {
        hash: toHex(hash),
        number,
        parentHash: toHex(found.parentHash),
        timestamp: Number(found.timestamp),
        l1origin: { hash: toHex(origin.hash), number: origin.number },
        sequenceNumber,
      };
    },
    roots: async (number) => {
      const { stateRoot, withdrawalsRoot } = (await header(number)).header;
      // Since Isthmus the storage root of L2ToL1MessagePasser.
      return { stateRoot, withdrawalStorageRoot: withdrawalsRoot ?? ZERO_HASH };
    },
    l1: () => {
      if (executor.file.op!.l1 === undefined) return undefined;
      const originAt = (number: number) => l1Ref(executor.blockAt(number)!.place.origin);
      return { head: originAt(executor.head.number), final: originAt(executor.latest.number) };
    },
  };
}

async function readHeader(
  executor: OpExecutor,
  engine: Pick<EngineDriver, 'takenHash' | 'query'>,
  number: number,
): Promise<{ readonly hash: Bytes32; readonly header: L1Header; readonly block: OpBlock }> {
  const asked = [`0x${number.toString(16)}`, false];
  const header = await engine.query('eth_getBlockByNumber', asked, L1Header.nullable()).catch((error: Error) => {
    throw notDriven(error.message);
  });
  // After reading: soft order may have been replaced meanwhile.
  const block = executor.blockAt(number);
  if (header === null || block === undefined) throw notDriven(`it has no block ${number}`);
  const hash = keccak256(encodeL1Header(header));
  const isDerived =
    number === 0
      ? toHex(hash) === executor.file.op!.genesisHash.toLowerCase()
      : hexOf(header.mixHash) === hexOf(block.summary.hash) && header.number === BigInt(number);
  const taken = engine.takenHash(number);
  if (isDerived && (taken === undefined || equalBytes(hash, fromHex(taken)))) return { hash, header, block };
  throw refused(
    `the execution client's header of block ${number} hashes to ${toHex(hash)}, which is not the block that it was driven to`,
    'ENGINE_HEADER_WRONG',
    'If the soft order was just replaced, ask again; else compare the client with that of another node.',
  );
}

function l1Ref({ hash, number, parentHash, timestamp }: L1Origin): L1BlockRef {
  return { hash: toHex(hash), number, parentHash: toHex(parentHash), timestamp: Number(timestamp) };
}

function notDriven(reason: string) {
  return refused(
    `the execution client, which has what is asked for, is not there: ${reason}`,
    'ENGINE_NOT_FOLLOWING',
    'Ask again; squad_status tells what the node waits for.',
  );
}
