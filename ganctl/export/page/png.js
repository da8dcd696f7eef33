"use strict";
// Returns the PNG `blob` with `text`, an object of strings, as its text chunks (iTXt; PNG, third
// edition, section 11.3.3.4). They come after its header, which is always 25 bytes long.
async function pngWithText(blob, text) {
  const utf8 = new TextEncoder();
  const crc = (bytes) => {
    let sum = -1;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return ~sum;
  };
  const number = (value) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, value);
    return bytes;
  };
  const chunks = Object.entries(text).map(([key, value]) => {
    const body = utf8.encode(`iTXt${key}\0\0\0\0\0${value}`);
    return new Blob([number(body.length - 4), body, number(crc(body))]);
  });
  const end = 8 + 25;
  return new Blob([blob.slice(0, end), ...chunks, blob.slice(end)], { type: blob.type });
}
