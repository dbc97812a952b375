export { extraDataOf, type OpFork, opBlockOf } from './op.ts';
export * from './server.ts';
