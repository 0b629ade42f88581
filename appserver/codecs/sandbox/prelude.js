// What a maker's script may expect beside the language itself: console, Buffer, TextEncoder, TextDecoder, atob, btoa.
// And the one function that calls it, by the conventions of TS013, ChirpStack and The Things Network.
(function (global) {
  "use strict";

  function hide(name, value) {
    Object.defineProperty(global, name, { value: value, writable: true, configurable: true, enumerable: false });
  }

  function silent() {}
  hide("console", { log: silent, info: silent, warn: silent, error: silent, debug: silent, trace: silent, table: silent });

  var ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  function toBase64(bytes) {
    var text = "";
    for (var i = 0; i < bytes.length; i += 3) {
      var word = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
      text += ALPHABET[word >> 18] + ALPHABET[(word >> 12) & 63];
      text += i + 1 < bytes.length ? ALPHABET[(word >> 6) & 63] : "=";
      text += i + 2 < bytes.length ? ALPHABET[word & 63] : "=";
    }
    return text;
  }

  function fromBase64(text) {
    var bytes = [], word = 0, bits = 0;
    for (var i = 0; i < text.length; i++) {
      var letter = text[i] === "-" ? "+" : text[i] === "_" ? "/" : text[i];
      var value = ALPHABET.indexOf(letter);
      if (value < 0) continue;
      word = ((word << 6) | value) & 0xffffff;
      bits += 6;
      if (bits >= 8) {
        bits -= 8;
        bytes.push((word >> bits) & 255);
      }
    }
    return bytes;
  }

  function fromUtf8(text) {
    var bytes = [];
    for (var i = 0; i < text.length; i++) {
      var code = text.codePointAt(i);
      if (code > 0xffff) i++;
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return bytes;
  }

  function toUtf8(bytes) {
    var text = "";
    for (var i = 0; i < bytes.length; ) {
      var first = bytes[i++];
      var more = first < 0x80 ? 0 : first >> 5 === 6 ? 1 : first >> 4 === 14 ? 2 : first >> 3 === 30 ? 3 : -1;
      var code = more < 0 ? 0xfffd : more === 0 ? first : first & (0x3f >> more);
      for (; more > 0; more--) {
        if (i >= bytes.length || bytes[i] >> 6 !== 2) {
          code = 0xfffd;
          break;
        }
        code = (code << 6) | (bytes[i++] & 63);
      }
      text += String.fromCodePoint(code > 0x10ffff ? 0xfffd : code);
    }
    return text;
  }

  function encode(text, encoding) {
    switch (String(encoding || "utf8").toLowerCase()) {
      case "hex":
        return (text.match(/[0-9a-f]{2}/gi) || []).map(function (pair) { return parseInt(pair, 16); });
      case "base64":
      case "base64url":
        return fromBase64(text);
      case "ascii":
      case "latin1":
      case "binary":
        return Array.from(text, function (letter) { return letter.charCodeAt(0) & 255; });
      default:
        return fromUtf8(text);
    }
  }

  function decode(bytes, encoding) {
    switch (String(encoding || "utf8").toLowerCase()) {
      case "hex":
        return Array.from(bytes, function (byte) { return (byte < 16 ? "0" : "") + byte.toString(16); }).join("");
      case "base64":
        return toBase64(bytes);
      case "base64url":
        return toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
      case "ascii":
        return Array.from(bytes, function (byte) { return String.fromCharCode(byte & 127); }).join("");
      case "latin1":
      case "binary":
        return Array.from(bytes, function (byte) { return String.fromCharCode(byte); }).join("");
      default:
        return toUtf8(bytes);
    }
  }

  class Buffer extends Uint8Array {
    static from(value, encoding, length) {
      if (typeof value === "string") return fill(encode(value, encoding));
      if (value instanceof ArrayBuffer) return new Buffer(value, encoding, length);
      if (value && value.type === "Buffer" && Array.isArray(value.data)) return fill(value.data);
      return fill(Array.from(value));
    }
    static alloc(size, value, encoding) {
      var made = new Buffer(size);
      return value === undefined ? made : made.fill(typeof value === "string" ? encode(value, encoding)[0] : value);
    }
    static allocUnsafe(size) { return new Buffer(size); }
    static isBuffer(value) { return value instanceof Buffer; }
    static byteLength(text, encoding) { return typeof text === "string" ? encode(text, encoding).length : text.length; }
    static concat(list) {
      var bytes = [];
      list.forEach(function (item) { bytes = bytes.concat(Array.from(item)); });
      return fill(bytes);
    }
    toString(encoding, start, end) { return decode(this.subarray(start || 0, end === undefined ? this.length : end), encoding); }
    toJSON() { return { type: "Buffer", data: Array.from(this) }; }
    equals(other) { return this.length === other.length && this.every(function (byte, i) { return byte === other[i]; }); }
    slice(start, end) { return this.subarray(start, end); }
    write(text, offset) {
      var bytes = encode(text);
      this.set(bytes.slice(0, this.length - (offset || 0)), offset || 0);
      return bytes.length;
    }
    copy(target, at, start, end) {
      var part = this.subarray(start || 0, end === undefined ? this.length : end);
      target.set(part, at || 0);
      return part.length;
    }
    readUIntLE(offset, size) { return whole(this, offset, size, true, false); }
    readUIntBE(offset, size) { return whole(this, offset, size, false, false); }
    readIntLE(offset, size) { return whole(this, offset, size, true, true); }
    readIntBE(offset, size) { return whole(this, offset, size, false, true); }
    writeUIntLE(value, offset, size) { return put(this, value, offset, size, true); }
    writeUIntBE(value, offset, size) { return put(this, value, offset, size, false); }
    writeIntLE(value, offset, size) { return put(this, value, offset, size, true); }
    writeIntBE(value, offset, size) { return put(this, value, offset, size, false); }
  }

  function fill(bytes) {
    var made = new Buffer(bytes.length);
    for (var i = 0; i < bytes.length; i++) made[i] = bytes[i];
    return made;
  }

  function check(buffer, offset, size) {
    if (offset < 0 || offset + size > buffer.length) throw new RangeError("The value of \"offset\" is out of range.");
  }

  function whole(buffer, offset, size, little, signed) {
    offset = offset || 0;
    check(buffer, offset, size);
    var value = 0;
    for (var i = 0; i < size; i++) value = value * 256 + buffer[offset + (little ? size - 1 - i : i)];
    return signed && value >= Math.pow(2, 8 * size - 1) ? value - Math.pow(2, 8 * size) : value;
  }

  function put(buffer, value, offset, size, little) {
    offset = offset || 0;
    check(buffer, offset, size);
    if (value < 0) value += Math.pow(2, 8 * size);
    for (var i = 0; i < size; i++) {
      buffer[offset + (little ? i : size - 1 - i)] = value % 256;
      value = Math.floor(value / 256);
    }
    return offset + size;
  }

  function view(buffer) { return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength); }

  function method(name, body) {
    Object.defineProperty(Buffer.prototype, name, { value: body, writable: true, configurable: true, enumerable: false });
  }

  [["UInt8", 1, false], ["Int8", 1, true], ["UInt16", 2, false], ["Int16", 2, true], ["UInt32", 4, false], ["Int32", 4, true]]
    .forEach(function (kind) {
      (kind[1] === 1 ? [""] : ["LE", "BE"]).forEach(function (end) {
        var little = end !== "BE";
        var read = function (offset) { return whole(this, offset, kind[1], little, kind[2]); };
        var write = function (value, offset) { return put(this, value, offset, kind[1], little); };
        [kind[0], kind[0].replace("UInt", "Uint")].forEach(function (name) {
          method("read" + name + end, read);
          method("write" + name + end, write);
        });
      });
    });
  [["Float", "Float32", 4], ["Double", "Float64", 8], ["BigInt64", "BigInt64", 8], ["BigUInt64", "BigUint64", 8]]
    .forEach(function (kind) {
      ["LE", "BE"].forEach(function (end) {
        method("read" + kind[0] + end, function (offset) {
          check(this, offset || 0, kind[2]);
          return view(this)["get" + kind[1]](offset || 0, end === "LE");
        });
        method("write" + kind[0] + end, function (value, offset) {
          check(this, offset || 0, kind[2]);
          view(this)["set" + kind[1]](offset || 0, value, end === "LE");
          return (offset || 0) + kind[2];
        });
      });
    });

  hide("Buffer", Buffer);
  hide("TextEncoder", class TextEncoder { encode(text) { return new Uint8Array(fromUtf8(String(text))); } });
  hide("TextDecoder", class TextDecoder { decode(bytes) { return toUtf8(new Uint8Array(bytes || [])); } });
  hide("atob", function (text) { return String.fromCharCode.apply(null, fromBase64(String(text))); });
  hide("btoa", function (text) { return toBase64(encode(String(text), "latin1")); });
})(globalThis);
