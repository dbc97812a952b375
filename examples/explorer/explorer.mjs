// Shows a network's newest blocks in a terminal, from any sequencer's public JSON-RPC: who led, what was ordered for which
// rollup, whose signatures made it final. It believes what it is told; follower/ is the one that verifies.
// Usage: node explorer.mjs [RPC] [BLOCKS]

const [url = 'http://127.0.0.1:9545', count = '15'] = process.argv.slice(2);

/** Many calls in one request: the answers come in the order of the calls. */
async function ask(calls) {
  const body = calls.map(([method, ...params], id) => ({ jsonrpc: '2.0', id, method, params }));
  const headers = { 'content-type': 'application/json' };
  const answers = await (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
  for (const { error } of answers) if (error) throw new Error(`${error.message} (${error.data?.remedy})`);
  return answers.sort((a, b) => a.id - b.id).map(({ result }) => result);
}

const [status, { validators }] = await ask([['squad_status'], ['squad_getValidatorSet']]);
const nameOf = (index) => validators[index]?.name ?? `#${index}`;
const top = status.final.height;
console.log(`final block ${top}, epoch ${status.epoch}, view ${status.view}, ${validators.length} validators\n`);

const heights = Array.from({ length: Math.min(Number(count), top) }, (_, index) => top - index);
const found = await ask(
  heights.flatMap((at) => [
    ['squad_getBlock', at],
    ['squad_getCertificate', at],
  ]),
);

const batches = new Map(); // rollup → batches in the blocks shown
console.log('height    time          leader       batches         final by');
heights.forEach((height, index) => {
  const [block, certified] = found.slice(2 * index, 2 * index + 2);
  const ofRollup = Map.groupBy(block.refs, ({ rollupId }) => rollupId);
  for (const [rollup, refs] of ofRollup) batches.set(rollup, (batches.get(rollup) ?? 0) + refs.length);
  const cells = [
    String(height).padEnd(9),
    new Date(block.timestampMs).toISOString().slice(11, 23).padEnd(13),
    nameOf(block.leader).padEnd(12),
    ([...ofRollup].map(([rollup, refs]) => `${rollup}: ${refs.length}`).join(', ') || '–').padEnd(15),
    certified.certificate.signers.map(nameOf).join(' '),
  ];
  console.log(cells.join(' '));
});

console.log(`\nbatches in these ${heights.length} blocks`);
for (const [rollup, number] of batches) console.log(`  rollup ${rollup}: ${number}`);
if (batches.size === 0) console.log('  none: heartbeats only');
