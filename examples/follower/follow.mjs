// Follows what the network orders for one rollup, and verifies all of it: trusts the genesis file, and no endpoint.
// Usage: node follow.mjs GENESIS ROLLUP CURSOR ENDPOINT… (more than a third of the validators: one of them is honest)

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { bodyTransactions, follow, networkAccess, parseGenesis, toHex } from '@squad/client';
import { native } from '@squad/client/node';

const [genesisPath, rollupId, cursorPath, ...endpoints] = process.argv.slice(2);
const genesis = parseGenesis(JSON.parse(readFileSync(genesisPath, 'utf8')));
if (!genesis.ok) throw genesis.error;

// An endpoint that forges, omits or holds back is named here, and left alone for a while; the others go on.
const onLiar = ({ endpoint, code }) => console.error('liar', endpoint, code);
const network = networkAccess(genesis.value, endpoints, { ...native, onLiar });

// The last block that we have dealt with. It is written together with what follows from the block: here, nothing.
const done = existsSync(cursorPath) ? Number(readFileSync(cursorPath, 'utf8')) : 0;
function keep(height) {
  writeFileSync(`${cursorPath}.new`, String(height), { flush: true });
  renameSync(`${cursorPath}.new`, cursorPath);
}

// Every final block comes once, in order, with its certificate checked and with every batch of our rollup.
for await (const { header, batches } of follow(network, Number(rollupId), { fromHeight: done + 1 })) {
  for (const { ref, body } of batches) {
    for (const bytes of bodyTransactions(body))
      console.log(header.height, `from ${ref.author}`, toHex(bytes).slice(0, 66));
  }
  keep(header.height);
}
