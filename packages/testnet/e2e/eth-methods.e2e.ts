/**
 * The same questions to a rollup node and to a real geth that has the same blocks: eth_simulateV1, debug_trace…, bad requests, and
 * the rest of eth_…. Answers must be the same to the byte, but for what is named here. Without a geth on PATH nothing here runs.
 */

import { concat, type Hex, pad } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ACCOUNTS } from './accounts.ts';
import { type Answer, CONTRACTS, type EthPair, startEthPair } from './eth-pair.ts';
import { GETH_VERSION } from './geth.ts';

const FROM: Hex = `0x${'f0'.repeat(20)}`;
const SOMEBODY: Hex = `0x${'77'.repeat(20)}`;
const SHA256 = pad('0x02', { size: 20 });
const IDENTITY = pad('0x04', { size: 20 });
const word = (value: number | bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;
const quantity = (value: number | bigint): Hex => `0x${value.toString(16)}`;
const rich = { [FROM]: { balance: quantity(10n ** 18n) } };
const fee = { maxFeePerGas: quantity(2n * 10n ** 9n) };
const valid = { validation: true };
const { counter, caller, delegator, reverter, looper, invalid, jumper, destroyer, factory, environment } = CONTRACTS;
const to = ({ address }: { address: Hex }, fields: object = {}) => ({ from: FROM, to: address, ...fields });
const calling = ({ address }: { address: Hex }, data: Hex = '0x') => ({ input: concat([pad(address), data]) });
const count = to(counter);

type Json = unknown;
const OWN = ['squadStage', 'maxUsedGas'];

/** Without what this node says and geth 1.16 does not, or says otherwise. */
function common(answer: Json): Json {
  if (Array.isArray(answer)) return answer.map(common);
  if (typeof answer !== 'object' || answer === null) return answer;
  const fields = Object.entries(answer).filter(([name]) => !OWN.includes(name));
  const object: Record<string, Json> = Object.fromEntries(fields.map(([name, value]) => [name, common(value)]));
  // Of transactions: execution-apis has it, geth from 1.17 on.
  if ('transactionIndex' in object && !('logIndex' in object)) delete object.blockTimestamp;
  // geth makes a chain id up for a legacy transaction without a signature.
  if (object.type === '0x0' && object.v === '0x0') delete object.chainId;
  // Both put transfers and logs in the same order; geth 1.16 counts those that were reverted, too.
  if ('logIndex' in object) delete object.logIndex;
  // Of a call that reverted: geth 1.16 has -32000 where execution-apis has 3.
  if (object.code === -32000 && String(object.message).startsWith('execution reverted')) object.code = 3;
  // geth counts what is on the stack, and what should be.
  if (typeof object.error === 'string') object.error = object.error.replace(/ \(\d+ <=> \d+\)$/, '');
  if ('structLogs' in object) object.structLogs = (object.structLogs as Step[]).map(commonStep);
  return object;
}

type Step = { op: string; refund?: number; error?: string; memory?: string[]; storage?: Record<string, string> };
const prefixed = (hex: string) => `0x${hex.replace(/^0x/, '')}`;

/** execution-apis wants 0x before words and a refund always, which geth 1.16 does not give; ours tells more of errors. */
function commonStep({ refund = 0, error: _, memory, storage, ...step }: Step): object {
  return {
    ...step,
    op: step.op === 'DIFFICULTY' ? 'PREVRANDAO' : step.op,
    refund,
    ...(memory && { memory: memory.map(prefixed) }),
    ...(storage && {
      storage: Object.fromEntries(Object.entries(storage).map(([slot, value]) => [prefixed(slot), prefixed(value)])),
    }),
  };
}

/** Code and words; our remedy is our own. */
function commonAnswer({ result, error }: Answer): Json {
  if (error === undefined) return { result: common(result) };
  const { code, message, data } = error;
  return { error: { code, message, ...(code === 3 ? { data } : {}) } };
}

describe.skipIf(GETH_VERSION === undefined)('beside a real geth', () => {
  let pair: EthPair;
  beforeAll(async () => {
    pair = await startEthPair('prague');
  });
  afterAll(() => pair?.close());

  async function same(method: string, ...params: unknown[]): Promise<void> {
    const [ours, geths] = await Promise.all([pair.ours(method, params), pair.geths(method, params)]);
    expect(commonAnswer(ours), `${method} ${JSON.stringify(params).slice(0, 300)}`).toEqual(commonAnswer(geths));
  }
  const simulated = (blockStateCalls: object[], options: object = {}, at = 'latest') =>
    same('eth_simulateV1', { blockStateCalls, ...options }, at);

  it('eth_simulateV1: the same blocks, to the hash', async () => {
    await simulated([{}, {}]);
    await simulated([{ calls: [count, count] }, { calls: [count] }]);
    await simulated([{ calls: [count] }], {}, '0x1');
    await simulated([{ blockOverrides: { number: '0x9' }, calls: [count] }]);
    const full = { returnFullTransactions: true };
    await simulated([{ calls: [count, to(counter, { gasPrice: '0x0' }), to(counter, { type: '0x0' })] }], full);
    const accessList = [{ address: counter.address, storageKeys: [word(0)] }];
    await simulated([{ calls: [to(counter, { accessList })] }], full);
    await simulated([{ calls: [to(reverter), to(caller, calling(invalid)), to(delegator, calling(counter))] }]);
    for (const failing of [looper, invalid, jumper]) await simulated([{ calls: [to(failing)] }]);
    await simulated([{ calls: [{ from: FROM, input: '0x6960005460010160005500600052600a6016f3' }] }]);
    // From contracts, and to an account with delegated code.
    await simulated([{ calls: [to(environment, { from: counter.address }), to(counter, { from: counter.address })] }]);
    await simulated([{ calls: [{ from: FROM, to: ACCOUNTS[1]!.address }] }]);
    const any = (nonce: Hex, own: Hex) => [
      { stateOverrides: { [FROM]: { nonce: own } }, calls: [to(counter, { nonce })] },
    ];
    await simulated(any('0x4', '0x0'));
    await simulated(any('0x4', '0x5'));
  });

  it('eth_simulateV1: overrides of blocks and state', async () => {
    await simulated([{ calls: [to(environment)] }]);
    const blockOverrides = {
      ...{ number: '0x6', time: '0xffffffff', gasLimit: '0xf4240', prevRandao: word(9), baseFeePerGas: '0x7' },
      ...{ feeRecipient: SOMEBODY, blobBaseFee: '0x9', beaconRoot: word(3) },
    };
    await simulated([{ blockOverrides, calls: [to(environment)] }, { calls: [to(environment)] }]);
    const withdrawal = { index: '0x80', validatorIndex: '0x1', address: SOMEBODY, amount: '0x5' };
    await simulated([{ blockOverrides: { withdrawals: [withdrawal, { ...withdrawal, index: '0x0' }] } }]);
    const state = { code: '0x33ff', state: { [word(1)]: word(2) }, nonce: '0x9' };
    const stateDiff = { stateDiff: { [word(1)]: word(2) } };
    const stateOverrides = { [counter.address]: state, [environment.address]: stateDiff, [FROM]: {} };
    await simulated([{ stateOverrides, calls: [count] }]);
    const input = '0x11';
    const both = [to({ address: SOMEBODY }, { input }), to({ address: SHA256 }, { input })];
    const moved = { movePrecompileToAddress: SOMEBODY };
    await simulated([{ stateOverrides: { [SHA256]: moved }, calls: both }, { calls: both }]);
    await simulated([{ stateOverrides: { [SHA256]: { ...moved, code: `0x${counter.code}` } }, calls: both }]);
    await simulated([{ stateOverrides: { [SHA256]: { code: `0x${counter.code}` } }, calls: both }]);
    for (const destination of [SHA256, IDENTITY, counter.address]) {
      await simulated([{ stateOverrides: { [SHA256]: { movePrecompileToAddress: destination }, [IDENTITY]: {} } }]);
    }
    await simulated([{ stateOverrides: { [SOMEBODY]: { movePrecompileToAddress: SHA256 } } }]);
    await simulated([{ stateOverrides: { [SOMEBODY]: { state: {}, stateDiff: {} } } }]);
  });

  it('eth_simulateV1: transfers told as logs', async () => {
    const value = '0x3';
    const calls = [
      to({ address: SOMEBODY }, { value }),
      to(caller, { value, ...calling({ address: SOMEBODY }) }),
      to(caller, { value, ...calling(destroyer) }),
      to(caller, { value, ...calling(reverter) }),
      to(factory, { value, input: '0x33ff' }),
      { from: FROM, value, input: '0x33ff' },
      to(delegator, { value, ...calling(counter) }),
      to(delegator, calling(destroyer)),
    ];
    await simulated([{ stateOverrides: rich, calls }], { traceTransfers: true });
  });

  it('eth_simulateV1: validation', async () => {
    const limited = { ...fee, gas: '0x20000', maxPriorityFeePerGas: '0x1' };
    const stateOverrides = rich;
    await simulated([{ stateOverrides, calls: [to(counter, fee)] }, { calls: [to(environment, limited)] }], valid);
    await simulated(
      [{ stateOverrides, calls: [to(counter, limited), to(counter, { ...limited, nonce: '0x1' })] }],
      valid,
    );
    const contract = { [counter.address]: rich[FROM]! };
    await simulated([{ stateOverrides: contract, calls: [to(environment, { ...fee, from: counter.address })] }], valid);
    const nonce = (own: Hex) => [
      { stateOverrides: { [FROM]: { ...rich[FROM], nonce: own } }, calls: [to(counter, { ...fee, nonce: '0x4' })] },
    ];
    await simulated(nonce('0x5'), valid);
    await simulated(nonce('0x3'), valid);
    await simulated(nonce('0xffffffffffffffff'), valid);
    await simulated([{ calls: [to(counter, fee)] }], valid);
    await simulated([{ stateOverrides, calls: [to(counter, { ...fee, gas: '0x5207' })] }], valid);
  });

  it('eth_simulateV1: what is refused', async () => {
    for (const fields of [
      { gas: '0x5207' },
      { value: '0x1' },
      { gasPrice: '0x1', gas: '0x10000' },
      { maxFeePerGas: '0x1', maxPriorityFeePerGas: '0x2' },
      { maxFeePerGas: '0x1', gasPrice: '0x2' },
      { input: `0x${'11'.repeat(1000)}`, gas: '0x9000' },
      { input: `0x${'11'.repeat(1000)}`, gas: '0x9900' },
      { chainId: '0x5' },
    ])
      await simulated([{ calls: [to(counter, fields)] }]);
    await simulated([{ calls: [{ from: FROM, input: `0x${'00'.repeat(49_153)}` }] }]);
    await simulated([{ calls: [to(jumper), count] }]);
    await simulated([{ blockOverrides: { number: '0x9' } }, { blockOverrides: { number: '0x9' } }]);
    await simulated([{ blockOverrides: { time: '0x9' } }]);
    await simulated([{}], {}, '0xff');
    // The same code; the words of geth 1.16 hold an address of memory. It has -32602 for -38012, which came later.
    const over = [{ blockStateCalls: [{ calls: [to(counter, { gas: '0xfffffff' })] }] }, 'latest'];
    const low = [{ blockStateCalls: [{ calls: [count] }], ...valid }, 'latest'];
    const code = async (ask: EthPair['ours'], params: unknown[]) => (await ask('eth_simulateV1', params)).error?.code;
    expect([await code(pair.ours, over), await code(pair.geths, over)]).toEqual([-38015, -38015]);
    expect([await code(pair.ours, low), await code(pair.geths, low)]).toEqual([-38012, -32602]);
  });

  const TRACERS = [
    {},
    { enableMemory: true, enableReturnData: true },
    { tracer: 'callTracer', tracerConfig: { withLog: true } },
    { tracer: 'callTracer', tracerConfig: { onlyTopCall: true } },
    { tracer: 'prestateTracer' },
    { tracer: 'prestateTracer', tracerConfig: { diffMode: true } },
    { tracer: 'prestateTracer', tracerConfig: { disableCode: true, disableStorage: true } },
  ];
  it.each(TRACERS)('debug_trace… %j: of blocks, transactions and calls', async (options) => {
    for (const number of ['0x0', '0x1', '0x2', '0xff']) await same('debug_traceBlockByNumber', number, options);
    for (const hash of pair.hashes.slice(0, 3)) await same('debug_traceTransaction', hash, options);
    const overrides = { number: '0x99', time: '0x777', baseFeePerGas: '0x5', blobBaseFee: '0x9' };
    const code = { [counter.address]: { code: '0x5f5ffd' }, [FROM]: { balance: '0x77' } };
    for (const call of [
      count,
      to(environment),
      to(caller, { ...calling(counter), from: counter.address }),
      { from: FROM, input: '0x60016002f3' },
      to(counter, { value: '0x1' }),
      to(counter, { gasPrice: '0x1' }),
      to(counter, { gas: '0x1' }),
    ]) {
      await same('debug_traceCall', call, 'latest', options);
      await same('debug_traceCall', call, '0x2', { ...options, txIndex: '0x1' });
      await same('debug_traceCall', call, '0x1', { ...options, blockOverrides: overrides });
      await same('debug_traceCall', call, 'latest', { ...options, stateOverrides: code });
    }
  });

  it('blocks, transactions, receipts, logs, state, rules: the same answers', async () => {
    const { result } = await pair.geths('eth_getBlockByNumber', ['0x1', false]);
    const { hash } = result as { hash: Hex };
    const [legacy, listed] = [pair.hashes[3], pair.hashes[4]];
    for (const [method, ...params] of [
      ...[['eth_chainId'], ['eth_syncing'], ['eth_accounts'], ['eth_blobBaseFee'], ['eth_config'], ['net_version']],
      ...[['web3_sha3', '0x68656c6c6f'], ['txpool_status'], ['txpool_content'], ['txpool_inspect']],
      ...[['txpool_contentFrom', FROM], ['debug_getBadBlocks'], ['eth_coinbase'], ['eth_nothing']],
      ...['0x0', '0x1', '0x2', '0xff', 'earliest'].flatMap((at) => [
        ['eth_getBlockByNumber', at, true],
        ['eth_getHeaderByNumber', at],
        ['eth_getBlockReceipts', at],
        ['eth_getBlockTransactionCountByNumber', at],
        ['eth_getUncleCountByBlockNumber', at],
      ]),
      ...['eth_getBlockReceipts', 'debug_getRawHeader', 'debug_getRawBlock', 'debug_getRawReceipts'].map((name) => [
        name,
        hash,
      ]),
      ...['0x0', '0x2'].map((at) => ['debug_getRawBlock', at]),
      ...[
        ['eth_getHeaderByHash', hash],
        ['eth_getHeaderByHash', word(1)],
        ['debug_getRawTransaction', word(1)],
      ],
      ...[legacy, listed, word(1)].map((at) => ['eth_getTransactionByHash', at]),
      ...[legacy, listed].flatMap((at) => [
        ['debug_getRawTransaction', at],
        ['eth_getRawTransactionByHash', at],
      ]),
      ...['ByBlockHashAndIndex', 'ByBlockNumberAndIndex'].flatMap((by) => [
        [`eth_getTransaction${by}`, by.includes('Hash') ? hash : '0x1', '0x1'],
        [`eth_getRawTransaction${by}`, by.includes('Hash') ? hash : '0x1', '0x1'],
        [`eth_getUncle${by}`, by.includes('Hash') ? hash : '0x1', '0x0'],
      ]),
      ...[
        ['eth_getLogs', { fromBlock: '0x0', toBlock: 'latest' }],
        ['eth_getLogs', { blockHash: hash }],
      ],
      ...[
        ['eth_getLogs', { blockHash: word(1) }],
        ['eth_getLogs', { fromBlock: '0x2', toBlock: '0x1' }],
      ],
      ...['latest', '0x1', hash, { blockHash: hash }, '0xff', { blockHash: word(1) }].map((at) => [
        'eth_getBalance',
        ACCOUNTS[0]!.address,
        at,
      ]),
      ...[
        ['eth_getStorageAt', counter.address, '0x0', 'latest'],
        ['eth_getCode', counter.address, 'latest'],
      ],
      ['eth_getProof', counter.address, [word(0), word(5)], 'latest'],
      ['eth_feeHistory', '0x2', 'latest', [10, 50]],
      ['eth_feeHistory', '0x400', 'latest', []],
      ['eth_feeHistory', '0x2', '0xff', []],
      ['eth_feeHistory', '0x2', 'latest', [20, 10]],
    ] as [string, ...unknown[]][])
      await same(method, ...params);
  });

  it('eth_call and eth_estimateGas: results, overrides, and what is refused', async () => {
    for (const call of [
      ...[count, to(environment), to(reverter), to(invalid), to(jumper), to(looper), to(caller, calling(invalid))],
      ...[to(counter, { gas: '0x5300' }), to(counter, { gas: '0x52' }), to(counter, { value: '0x1' })],
      ...[to(counter, { maxFeePerGas: '0x1', maxPriorityFeePerGas: '0x2' }), to(counter, { maxFeePerGas: '0x1' })],
      ...[to(counter, { maxFeePerGas: '0x1', gasPrice: '0x2' }), to(counter, { chainId: '0x2' })],
      to(counter, { ...fee, from: ACCOUNTS[0]!.address }),
    ])
      await same('eth_call', call, 'latest');
    const code = { [counter.address]: { code: '0x5f5ffd' } };
    await same('eth_call', count, 'latest', code);
    await same('eth_call', to(environment), '0x2', rich, { number: '0x77', time: '0x9', blobBaseFee: '0x5' });
    await same('eth_call', to({ address: SOMEBODY }, { input: '0x11' }), 'latest', {
      [SHA256]: { movePrecompileToAddress: SOMEBODY },
    });
    await same('eth_estimateGas', to(reverter));
    await same('eth_estimateGas', count, 'latest', code);
    await same('eth_estimateGas', to({ address: SOMEBODY }, { value: '0x1' }), 'latest', rich);
    await same('eth_estimateGas', to(counter, { value: '0x1' }));
  });
});
