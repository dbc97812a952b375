// Sends ether on an EVM rollup and watches how certain it becomes: soft after about two network delays, final after three.
// Any Ethereum library does; this one is viem. Usage: node transfer.mjs [RPC]

import { createPublicClient, createWalletClient, defineChain, http, parseEther } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';

const url = process.argv[2] ?? 'http://127.0.0.1:8545';
const chain = defineChain({
  id: 901,
  name: 'example-evm',
  nativeCurrency: { name: 'ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
// Everybody knows this key: it is for development only, and rollup.json gives it its ether.
const account = mnemonicToAccount('test test test test test test test test test test test junk');
const wallet = createWalletClient({ account, chain, transport: http() });
const rollup = createPublicClient({ chain, transport: http(), pollingInterval: 100, cacheTime: 0 });

const to = '0x00000000000000000000000000000000000cafe1';
const hash = await wallet.sendTransaction({ to, value: parseEther('1') });
console.log('accepted', hash);

// `squad_getTransactionReceipt` is SQUAD's own: it answers as soon as a quorum of validators has notarized the order.
let soft = null;
while (soft === null) soft = await rollup.request({ method: 'squad_getTransactionReceipt', params: [hash] });
console.log('executed', `in block ${Number(soft.blockNumber)}, ${soft.squadStage}`);

// `eth_getTransactionReceipt` answers once the order is final and never changes: wallets and tools need to know nothing new.
const receipt = await rollup.waitForTransactionReceipt({ hash });
console.log('final   ', `in block ${receipt.blockNumber}, ${receipt.status}`);
console.log('balance ', await rollup.getBalance({ address: to }));
