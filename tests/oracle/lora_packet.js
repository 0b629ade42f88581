// Answers questions about LoRaWAN frames with the npm package lora-packet: one JSON object per line in, one out.
// Bytes are hexadecimal, identifiers and nonces most significant byte first, frame counters whole (32 bits).
"use strict";

const readline = require("node:readline");
const lora = require("lora-packet");

const bytes = (text) => Buffer.from(text, "hex");
const hex = (buffer) => (buffer ? buffer.toString("hex") : "");

function littleEndian16(value) {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
}

const upperHalf = (fCnt) => littleEndian16(Math.floor(fCnt / 65536));

// What lora-packet calls ConfFCntDownTxDrTxCh; undefined asks for 1.0. For uplinks with ACK it swaps the counter's bytes.
function version11(question, uplink) {
  if (!question.v1_1) return undefined;
  const counter = littleEndian16(question.conf_f_cnt % 65536);
  return uplink ? Buffer.concat([counter.reverse(), Buffer.from([question.tx_dr, question.tx_ch])]) : counter;
}

function micKeys(question, uplink) {
  if (!question.v1_1) return [bytes(question.f_nwk_s_int_key), undefined];
  return uplink
    ? [bytes(question.f_nwk_s_int_key), bytes(question.s_nwk_s_int_key)]
    : [undefined, bytes(question.s_nwk_s_int_key)];
}

const operations = {
  // Read a data frame: fields, MIC as computed from the keys, payload and FOpts decrypted.
  read_data(question) {
    const packet = lora.fromWire(bytes(question.phy));
    const uplink = packet.getDir() === "up";
    const upper = upperHalf(question.f_cnt);
    const mic = lora.calculateMIC(packet, ...micKeys(question, uplink), upper, version11(question, uplink));
    const fields = {
      uplink,
      confirmed: packet.isConfirmed(),
      dev_addr: hex(packet.DevAddr),
      adr: packet.getFCtrlADR(),
      adr_ack_req: packet.getFCtrlADRACKReq(),
      ack: packet.getFCtrlACK(),
      bit_4: packet.getFCtrlFPending(),
      f_cnt: packet.getFCnt(),
      f_port: packet.getFPort(),
      mic: hex(mic),
      payload: "",
    };
    if (packet.FRMPayload.length) {
      fields.payload = hex(lora.decrypt(packet, bytes(question.app_s_key), bytes(question.nwk_s_enc_key), upper));
    }
    fields.f_opts = question.v1_1
      ? hex(packet.decryptFOpts(bytes(question.nwk_s_enc_key), undefined, upper))
      : hex(packet.FOpts);
    return fields;
  },

  // Build a whole data frame of LoRaWAN 1.0.
  build_data(question) {
    const packet = lora.fromFields(
      {
        MType: question.m_type,
        DevAddr: bytes(question.dev_addr),
        FCtrl: { ADR: question.adr, ADRACKReq: question.bit_6, ACK: question.ack, FPending: question.bit_4 },
        FCnt: question.f_cnt % 65536,
        FOpts: bytes(question.f_opts),
        FPort: question.f_port,
        payload: bytes(question.payload),
      },
      bytes(question.app_s_key),
      bytes(question.f_nwk_s_int_key),
      undefined,
      upperHalf(question.f_cnt),
    );
    return { phy: hex(packet.getPHYPayload()) };
  },

  // Read a join-request or a rejoin-request.
  read_join_request(question) {
    const packet = lora.fromWire(bytes(question.phy));
    return {
      join_eui: hex(packet.AppEUI),
      dev_eui: hex(packet.DevEUI),
      dev_nonce: hex(packet.DevNonce),
      rejoin_type: packet.RejoinType ? packet.RejoinType[0] : null,
      mic: hex(lora.calculateMIC(packet, bytes(question.key), bytes(question.key))),
    };
  },

  build_join_request(question) {
    const packet = lora.fromFields(
      { AppEUI: bytes(question.join_eui), DevEUI: bytes(question.dev_eui), DevNonce: bytes(question.dev_nonce) },
      undefined,
      undefined,
      bytes(question.key),
    );
    return { phy: hex(packet.getPHYPayload()) };
  },

  // Open a join-accept as a device does, check its MIC and derive the session.
  read_join_accept(question) {
    const key = bytes(question.key);
    const packet = lora.fromWire(lora.decryptJoinAccept(lora.fromWire(bytes(question.phy)), key));
    const optNeg = packet.getDLSettingsOptNeg();
    if (optNeg) {
      packet.JoinEUI = bytes(question.join_eui);
      packet.DevNonce = bytes(question.dev_nonce);
      packet.JoinReqType = bytes(question.join_req_type);
    }
    const devNonce = bytes(question.dev_nonce);
    const session = optNeg
      ? lora.generateSessionKeys11(
          bytes(question.app_key),
          bytes(question.nwk_key),
          bytes(question.join_eui),
          packet.AppNonce,
          devNonce,
        )
      : lora.generateSessionKeys10(key, packet.NetID, packet.AppNonce, devNonce);
    const named = Object.fromEntries(Object.entries(session).map(([name, value]) => [name, hex(value)]));
    return {
      join_nonce: hex(packet.AppNonce),
      net_id: hex(packet.NetID),
      dev_addr: hex(packet.DevAddr),
      opt_neg: optNeg,
      rx1_dr_offset: packet.getDLSettingsRxOneDRoffset(),
      rx2_dr: packet.getDLSettingsRxTwoDataRate(),
      rx_delay: packet.getRxDelayDel(),
      cflist: hex(packet.CFList),
      mic: hex(packet.MIC),
      expected_mic: hex(lora.calculateMIC(packet, bytes(question.mic_key), bytes(question.mic_key))),
      session: named,
    };
  },

  build_join_accept(question) {
    const packet = lora.fromFields(
      {
        MType: 1,
        AppNonce: bytes(question.join_nonce),
        NetID: bytes(question.net_id),
        DevAddr: bytes(question.dev_addr),
        DLSettings: bytes(question.dl_settings),
        RxDelay: question.rx_delay,
        CFList: bytes(question.cflist),
        AppEUI: bytes(question.join_eui),
        DevNonce: bytes(question.dev_nonce),
      },
      undefined,
      bytes(question.mic_key),
      bytes(question.key),
    );
    return { phy: hex(Buffer.concat([packet.MHDR, packet.MACPayloadWithMIC])) };
  },

  join_server_keys(question) {
    const keys = lora.generateJSKeys(bytes(question.nwk_key), bytes(question.dev_eui));
    const root = lora.generateWORKey(bytes(question.nwk_key)).RootWorSKey;
    const wor = lora.generateWORSessionKeys(root, bytes(question.dev_addr));
    return {
      js_int_key: hex(keys.JSIntKey),
      js_enc_key: hex(keys.JSEncKey),
      root_wor_s_key: hex(root),
      wor_s_int_key: hex(wor.WorSIntKey),
      wor_s_enc_key: hex(wor.WorSEncKey),
    };
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = operations[question.op](question);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
