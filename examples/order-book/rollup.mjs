// An order book as a rollup: these are all its rules. The network orders bytes, the rollup node gives them to `execute` one
// by one, in the same order everywhere, so every node has the same book. There is no matching engine to trust.
//
// A transaction is an order as JSON: {"id":"a1","trader":"ann","side":"buy","price":101,"amount":5}. A real one is signed by its
// trader, and `orderIn` is where that is checked; here anybody may trade as anybody.

const MAX_OPEN_ORDERS = 200; // a side: whatever a stranger can make grow needs a limit
const OTHER = { buy: 'sell', sell: 'buy' };

/** What `squad rollup-node --executor rollup.mjs` calls first. `keyValue` does blocks, state roots, undoing and the disk. */
export const createExecutor = ({ keyValue }) => keyValue(execute);

/** The rule. To refuse an order, throw: all that was written for it is undone, and its sender can ask why. */
function execute(transaction, state) {
  const { id, trader, side, price, amount } = orderIn(transaction);
  if (state.get(`order/${id}`) !== '') throw new Error(`order ${id} was given before`);
  state.set(`order/${id}`, trader);

  const book = bookIn(state.get('book'));
  let open = amount;
  // The best price is first. It trades at the price of who was there before.
  for (const best of book[OTHER[side]]) {
    if (open === 0 || (side === 'buy' ? best.price > price : best.price < price)) break;
    const traded = Math.min(open, best.amount);
    move(state, side === 'buy' ? trader : best.trader, traded, -traded * best.price);
    move(state, side === 'buy' ? best.trader : trader, -traded, traded * best.price);
    open -= traded;
    best.amount -= traded;
  }
  book[OTHER[side]] = book[OTHER[side]].filter((order) => order.amount > 0);

  if (open > 0) {
    // After all with the same price or a better one: who comes first trades first.
    const worse = book[side].findIndex((order) => (side === 'buy' ? order.price < price : order.price > price));
    book[side].splice(worse === -1 ? book[side].length : worse, 0, { id, trader, price, amount: open });
    if (book[side].length > MAX_OPEN_ORDERS) throw new Error(`the book has ${MAX_OPEN_ORDERS} orders to ${side}`);
  }
  state.set('book', JSON.stringify(book));
}

/** What users can ask, over JSON-RPC. `latest` is of final order; `pending`, with soft order, is what a trader looks at. */
export const rpcMethods = (executor) => ({
  book_orders: () => bookIn(executor.read('book', 'pending')),
  book_position: (trader) => positionIn(executor.read(`trader/${trader}`, 'pending')),
});

function orderIn(bytes) {
  const { id, trader, side, price, amount } = JSON.parse(new TextDecoder().decode(bytes));
  const isName = (text) => typeof text === 'string' && /^[a-z0-9-]{1,32}$/.test(text);
  if (!isName(id) || !isName(trader)) throw new Error('id and trader are short names');
  if (side !== 'buy' && side !== 'sell') throw new Error('side is buy or sell');
  if (![price, amount].every((n) => Number.isInteger(n) && n > 0 && n <= 1e6)) throw new Error('1 to 1,000,000');
  return { id, trader, side, price, amount };
}

const bookIn = (text) => (text === '' ? { buy: [], sell: [] } : JSON.parse(text));
const positionIn = (text) => (text === '' ? { goods: '0', cash: '0' } : JSON.parse(text));

/** Sums outgrow what a number holds exactly, and every node must have the same. */
function move(state, trader, goods, cash) {
  const before = positionIn(state.get(`trader/${trader}`));
  const after = { goods: `${BigInt(before.goods) + BigInt(goods)}`, cash: `${BigInt(before.cash) + BigInt(cash)}` };
  state.set(`trader/${trader}`, JSON.stringify(after));
}
