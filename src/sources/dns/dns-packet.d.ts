/** The part of dns-packet that is used here. Its published types lack the single-record codecs, opcodes and result codes. */
declare module 'dns-packet' {
  interface Codec<T> {
    encode(value: T, buffer?: Buffer, offset?: number): Buffer;
    /** @throws when the bytes end early or are malformed. */
    decode: ((buffer: Buffer, offset?: number) => T) & { readonly bytes: number };
    encodingLength(value: T): number;
  }
  export interface PacketQuestion {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
  }
  export interface PacketRecord {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
    readonly ttl?: number;
    /** Decoded for the types the library knows; the bytes of RDATA for all others. */
    readonly data?: unknown;
    readonly udpPayloadSize?: number;
    readonly options?: readonly unknown[];
  }
  export interface Packet {
    readonly type: 'query' | 'response';
    readonly id: number;
    readonly flags: number;
    readonly questions: readonly PacketQuestion[];
    readonly answers?: readonly PacketRecord[];
    readonly additionals?: readonly PacketRecord[];
  }
  export interface DecodedPacket extends Packet {
    readonly opcode: string;
    readonly rcode: string;
    readonly flag_qr: boolean;
    readonly flag_aa: boolean;
    readonly flag_tc: boolean;
    readonly answers: readonly PacketRecord[];
    readonly authorities: readonly PacketRecord[];
    readonly additionals: readonly PacketRecord[];
  }
  const packet: {
    readonly RECURSION_DESIRED: number;
    readonly name: Codec<string>;
    readonly question: Codec<PacketQuestion>;
    readonly answer: Codec<PacketRecord>;
    encode(packet: Packet): Buffer;
    decode(bytes: Buffer): DecodedPacket;
  };
  export default packet;
}
