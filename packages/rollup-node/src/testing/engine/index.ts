export { extraDataOf, opBlockOf } from './op.ts';
export * from './server.ts';
