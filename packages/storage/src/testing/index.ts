/** For tests outside of this package: the log's format on disk, piece by piece. */

export * from '../log/frame.ts';
export { decodeSegmentHeader, encodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../log/segment.ts';
