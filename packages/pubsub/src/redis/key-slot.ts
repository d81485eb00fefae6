// CRC16 as Redis Cluster uses it (XMODEM: polynomial 0x1021, initial value 0).
function crc16(bytes: Buffer): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++)
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc
}

/** The hash slot of a key or shard channel (Redis Cluster specification, "Hash tags"). */
export function keySlot(key: string): number {
  const open = key.indexOf('{')
  const end = open === -1 ? -1 : key.indexOf('}', open + 1)
  return crc16(Buffer.from(end > open + 1 ? key.slice(open + 1, end) : key)) % 16_384
}
