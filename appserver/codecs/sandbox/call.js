// Calls the script. It stands behind the script, so that a function the script declares is seen by its plain name, and
// keeps nothing that the script could have replaced: what it needs was taken before.
(function (kit, request) {
  var input = kit.parse(request);
  var bytes = input.bytes;
  var names = input.encode ? ["encodeDownlink", "Encode", "Encoder"] : ["decodeUplink", "Decode", "Decoder"];
  var found = [
    typeof decodeUplink === "function" ? decodeUplink : null,
    typeof Decode === "function" ? Decode : null,
    typeof Decoder === "function" ? Decoder : null,
  ];
  if (input.encode) {
    found = [
      typeof encodeDownlink === "function" ? encodeDownlink : null,
      typeof Encode === "function" ? Encode : null,
      typeof Encoder === "function" ? Encoder : null,
    ];
  }
  var result;
  if (found[0]) {
    var given = { fPort: input.fPort, variables: input.variables };
    if (input.encode) given.data = input.data;
    else {
      given.bytes = bytes;
      given.recvTime = new kit.Date(input.recvTime);
    }
    result = found[0](given);
  } else if (found[1]) {
    result = input.encode ? found[1](input.fPort, input.data, input.variables) : found[1](input.fPort, bytes, input.variables);
    result = input.encode ? { bytes: result } : { data: result };
  } else if (found[2]) {
    result = input.encode ? found[2](input.data, input.fPort) : found[2](bytes, input.fPort);
    result = input.encode ? { bytes: result } : { data: result };
  } else {
    return kit.stringify({ missing: names[0] });
  }
  if (result && typeof result.then === "function") return kit.stringify({ promise: true });
  if (result && result.bytes && typeof result.bytes !== "string") result.bytes = kit.list(result.bytes);
  return kit.stringify({ result: result === undefined ? null : result });
})
