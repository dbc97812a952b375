export { eventOf } from '../remote/sequence-socket.ts';
export * from './chain-source.ts';
export * from './honest-chain.ts';
export * from './stream-pair.ts';
