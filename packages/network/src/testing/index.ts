/** For tests outside of this package: what reads bytes before anybody else does. */

export { encodeFrame, FrameDecoder, FramingError } from '../framing.ts';
export { ValidatorDirectory, type ValidatorEntry } from '../libp2p/directory.ts';
export { readMessage } from '../libp2p/streams.ts';
export { encodeHeader, FRAME_TYPE, FrameParser, HEADER_BYTES, YamuxError } from '../libp2p/yamux-frame.ts';
