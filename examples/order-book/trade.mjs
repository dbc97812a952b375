// Gives three orders to the order book and prints what became of them. Usage: node trade.mjs [RPC]

const url = process.argv[2] ?? 'http://127.0.0.1:8602';

async function call(method, ...params) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** Sends an order and waits until its rollup block is there: it shows in the head. */
async function give(order) {
  const bytes = new TextEncoder().encode(JSON.stringify(order));
  const hash = await call('rollup_sendTransaction', `0x${Buffer.from(bytes).toString('hex')}`);
  console.log('given', `${order.trader} ${order.side}s ${order.amount} at ${order.price}`, hash);
  return hash;
}

const run = Date.now().toString(36); // names of orders must be new
await give({ id: `${run}-1`, trader: 'ann', side: 'sell', price: 101, amount: 5 });
await give({ id: `${run}-2`, trader: 'bob', side: 'sell', price: 100, amount: 2 });
await give({ id: `${run}-3`, trader: 'carol', side: 'buy', price: 101, amount: 4 });
// Not good twice: it is ordered all the same, and skipped by the rules.
const again = await give({ id: `${run}-1`, trader: 'ann', side: 'sell', price: 99, amount: 5 });

let skipped = null;
while (skipped === null) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  skipped = await call('squad_getSkippedTransaction', again);
}
console.log('skipped', skipped.reason);
for (const trader of ['ann', 'bob', 'carol']) console.log(trader.padEnd(7), await call('book_position', trader));
console.log('book   ', JSON.stringify(await call('book_orders')));
