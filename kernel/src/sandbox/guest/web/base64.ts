import { defineGlobal } from './define.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const invalid = (what: string) => new DOMException(what, 'InvalidCharacterError');

function btoa(data: string): string {
  const text = String(data);
  let out = '';
  for (let at = 0; at < text.length; at += 3) {
    const codes = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2)] as const;
    if (codes.some((code) => code > 255)) throw invalid('The string has characters outside of Latin-1.');
    const bits = (codes[0] << 16) | ((codes[1] || 0) << 8) | (codes[2] || 0);
    out += ALPHABET[bits >> 18]! + ALPHABET[(bits >> 12) & 63]!;
    out += at + 1 < text.length ? ALPHABET[(bits >> 6) & 63]! : '=';
    out += at + 2 < text.length ? ALPHABET[bits & 63]! : '=';
  }
  return out;
}

function atob(data: string): string {
  let text = String(data).replace(/[\t\n\f\r ]/g, '');
  if (text.length % 4 === 0) text = text.replace(/==?$/, '');
  if (text.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(text)) throw invalid('The string is not correctly encoded.');
  let out = '';
  let bits = 0;
  let held = 0;
  for (const character of text) {
    bits = (bits << 6) | ALPHABET.indexOf(character);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += String.fromCharCode((bits >> held) & 255);
    bits &= (1 << held) - 1;
  }
  return out;
}

defineGlobal('btoa', btoa);
defineGlobal('atob', atob);
